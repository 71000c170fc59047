// Losses with their gradients.
#include "binding/operation.h"

namespace tersor::binding {
namespace {

// The mean over no rows does not exist.
void expect_rows(const Arguments& in, const Operand& logits) {
  if (logits.dim(0) > 0 && logits.dim(1) > 0) return;
  in.fail(TERSOR_INVALID_SHAPE, std::string("expected ") + logits.name + " to have rows and classes, got [" +
                                    std::to_string(logits.dim(0)) + ", " + std::to_string(logits.dim(1)) + "]");
}

auto cross_entropy(Arguments& in) {
  const Operand logits = in.input("logits", kF32, 2);
  expect_rows(in, logits);
  const Operand labels = in.input("labels", kI32);
  in.expect_shape(labels, {logits.dim(0)}, {logits});
  const Operand loss = in.output("loss", kF32);
  in.expect_shape(loss, {1});
  const OptionalOperand gradient = in.optional_output("gradient", kF32);
  in.expect_same_shape(gradient, logits);
  return [logits = logits.tensor(), labels = labels.tensor(), loss = loss.tensor(), gradient = gradient.tensor()](
             const tersor_backend& backend, tersor_context* context) {
    return backend.cross_entropy(context, &logits, &labels, &loss, gradient.get());
  };
}

auto distillation(Arguments& in) {
  const Operand student = in.input("student", kF32, 2);
  expect_rows(in, student);
  const Operand teacher = in.input("teacher", kF32);
  in.expect_same_shape(teacher, student);
  const float temperature = in.positive("temperature");
  const Operand loss = in.output("loss", kF32);
  in.expect_shape(loss, {1});
  const OptionalOperand gradient = in.optional_output("gradient", kF32);
  in.expect_same_shape(gradient, student);
  return [temperature, student = student.tensor(), teacher = teacher.tensor(), loss = loss.tensor(),
          gradient = gradient.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.distillation(context, &student, &teacher, temperature, &loss, gradient.get());
  };
}

constexpr Operation kOperations[] = {
    operation<cross_entropy>("crossEntropy", 4),
    operation<distillation>("distillation", 5),
};

}  // namespace

std::span<const Operation> loss_operations() { return kOperations; }

}  // namespace tersor::binding
