// Optimizer steps over lists of parameters.
#include <vector>

#include "binding/operation.h"

namespace tersor::binding {
namespace {

// One of the lists, as the backend wants it.
using Tensors = std::vector<tersor_tensor>;

Tensors tensors_of(const std::vector<Operand>& operands) {
  Tensors tensors;
  for (const Operand& operand : operands) tensors.push_back(operand.tensor());
  return tensors;
}

void expect_same_shapes(const Arguments& in, const char* name, const std::vector<Operand>& list,
                        const std::vector<Operand>& parameters) {
  if (list.size() != parameters.size()) {
    in.fail(TERSOR_INVALID_SHAPE, std::string("expected ") + std::to_string(parameters.size()) + " " + name +
                                      ", one per parameter, got " + std::to_string(list.size()));
  }
  for (size_t i = 0; i < list.size(); ++i) in.expect_same_shape(list[i], parameters[i]);
}

struct Lists {
  int64_t count;
  Tensors parameters, gradients, first_states, second_states;  // the last two may be empty
};

// States have a name each; null: none.
Lists lists(Arguments& in, const char* first_name, const char* second_name) {
  const auto parameter_values = in.elements("parameters"), gradient_values = in.elements("gradients");
  const auto first_values = in.elements(first_name);
  const auto second_values = second_name == nullptr ? std::vector<napi_value>() : in.elements(second_name);
  const auto parameters = in.updates("parameters", parameter_values, kF32);
  if (parameters.empty()) in.fail(TERSOR_INVALID_SHAPE, "expected at least one parameter, got none");
  const auto gradients = in.inputs("gradients", gradient_values, kF32);
  expect_same_shapes(in, "gradients", gradients, parameters);
  const auto first = in.updates(first_name, first_values, kF32);
  if (second_name != nullptr || !first.empty()) expect_same_shapes(in, first_name, first, parameters);
  std::vector<Operand> second;
  if (second_name != nullptr) {
    second = in.updates(second_name, second_values, kF32);
    expect_same_shapes(in, second_name, second, parameters);
  }
  return {static_cast<int64_t>(parameters.size()), tensors_of(parameters), tensors_of(gradients), tensors_of(first),
          tensors_of(second)};
}

auto sgd_step(Arguments& in) {
  Lists l = lists(in, "velocities", nullptr);
  tersor_sgd_options options{};
  options.learning_rate = in.non_negative("learningRate");
  options.momentum = in.below_one("momentum");
  if (options.momentum != 0 && l.first_states.empty()) {
    in.fail(TERSOR_INVALID_ARGUMENT, "expected velocities when momentum is not 0, got none");
  }
  options.weight_decay = in.non_negative("weightDecay");
  options.nesterov = in.boolean("nesterov");
  options.max_norm = in.non_negative("maxNorm");
  return [l = std::move(l), options](const tersor_backend& backend, tersor_context* context) {
    return backend.sgd_step(context, l.count, l.parameters.data(), l.gradients.data(),
                            l.first_states.empty() ? nullptr : l.first_states.data(), &options);
  };
}

// Adam or LAMB, whose decay is always decoupled.
template <auto tersor_backend::*update>
auto adam_step(Arguments& in) {
  Lists l = lists(in, "firstMoments", "secondMoments");
  tersor_adam_options options{};
  options.learning_rate = in.non_negative("learningRate");
  options.beta1 = in.below_one("beta1");
  options.beta2 = in.below_one("beta2");
  options.epsilon = in.positive("epsilon");
  options.weight_decay = in.non_negative("weightDecay");
  options.decoupled_decay = update == &tersor_backend::lamb_step || in.boolean("decoupledDecay");
  options.step = in.integer("step", 1, kMaxSafeInteger);
  options.max_norm = in.non_negative("maxNorm");
  return [l = std::move(l), options](const tersor_backend& backend, tersor_context* context) {
    return (backend.*update)(context, l.count, l.parameters.data(), l.gradients.data(), l.first_states.data(),
                             l.second_states.data(), &options);
  };
}

auto rms_step(Arguments& in) {
  Lists l = lists(in, "squares", nullptr);
  if (l.first_states.empty()) in.fail(TERSOR_INVALID_SHAPE, "expected as many squares as parameters, got none");
  tersor_rms_options options{};
  options.learning_rate = in.non_negative("learningRate");
  options.decay = in.non_negative("decay");
  if (options.decay > 1) in.fail(TERSOR_OUT_OF_RANGE, "expected decay in [0, 1], got " + std::to_string(options.decay));
  options.epsilon = in.positive("epsilon");
  options.weight_decay = in.non_negative("weightDecay");
  options.max_norm = in.non_negative("maxNorm");
  return [l = std::move(l), options](const tersor_backend& backend, tersor_context* context) {
    return backend.rms_step(context, l.count, l.parameters.data(), l.gradients.data(), l.first_states.data(), &options);
  };
}

constexpr Operation kOperations[] = {
    operation<sgd_step>("sgdStep", 8),
    operation<adam_step<&tersor_backend::adam_step>>("adamStep", 12),
    operation<adam_step<&tersor_backend::lamb_step>>("lambStep", 11),
    operation<rms_step>("rmsStep", 8),
};

}  // namespace

std::span<const Operation> optimizer_operations() { return kOperations; }

}  // namespace tersor::binding
