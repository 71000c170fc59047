// Optimizer steps.
#include "binding/operation.h"

namespace tersor::binding {
namespace {

auto sgd_step(Arguments& in) {
  const Operand parameter = in.update("parameter", kF32);
  const Operand gradient = in.input("gradient", kF32);
  in.expect_same_shape(gradient, parameter);
  const OptionalOperand velocity = in.optional_update("velocity", kF32);
  in.expect_same_shape(velocity, parameter);
  const float learning_rate = in.non_negative("learningRate");
  const float momentum = in.below_one("momentum");
  if (momentum != 0 && !velocity.present) {
    in.fail(TERSOR_INVALID_ARGUMENT, "expected a velocity tensor when momentum is not 0, got null");
  }
  const float weight_decay = in.non_negative("weightDecay");
  const bool nesterov = in.boolean("nesterov");
  return [=, parameter = parameter.tensor(), gradient = gradient.tensor(), velocity = velocity.tensor()](
             const tersor_backend& backend, tersor_context* context) {
    return backend.sgd_step(context, &parameter, &gradient, velocity.get(), learning_rate, momentum, weight_decay,
                            nesterov);
  };
}

auto adam_step(Arguments& in) {
  const Operand parameter = in.update("parameter", kF32);
  const Operand gradient = in.input("gradient", kF32);
  const Operand first_moment = in.update("firstMoment", kF32);
  const Operand second_moment = in.update("secondMoment", kF32);
  for (const Operand& other : {gradient, first_moment, second_moment}) in.expect_same_shape(other, parameter);
  tersor_adam_options options{};
  options.learning_rate = in.non_negative("learningRate");
  options.beta1 = in.below_one("beta1");
  options.beta2 = in.below_one("beta2");
  options.epsilon = in.positive("epsilon");
  options.weight_decay = in.non_negative("weightDecay");
  options.decoupled_decay = in.boolean("decoupledDecay");
  options.step = in.integer("step", 1, kMaxSafeInteger);
  return [options, parameter = parameter.tensor(), gradient = gradient.tensor(), first = first_moment.tensor(),
          second = second_moment.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.adam_step(context, &parameter, &gradient, &first, &second, &options);
  };
}

constexpr Operation kOperations[] = {
    operation<sgd_step>("sgdStep", 7),
    operation<adam_step>("adamStep", 11),
};

}  // namespace

std::span<const Operation> optimizer_operations() { return kOperations; }

}  // namespace tersor::binding
