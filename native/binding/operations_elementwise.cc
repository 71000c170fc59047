// Element-wise operations, reductions, softmax and rows of tables.
#include <algorithm>

#include "binding/operation.h"

namespace tersor::binding {
namespace {

auto activate(Arguments& in) {
  const tersor_activation activation = in.activation();
  const Operand x = in.input("x", kF32);
  const Operand y = in.output("y", kF32, {x});
  in.expect_same_shape(y, x);
  return [=, x = x.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.activate(context, activation, &x, &y);
  };
}

auto activate_gradient(Arguments& in) {
  const tersor_activation activation = in.activation();
  const Operand x = in.input("x", kF32);
  const Operand dy = in.input("dy", kF32);
  in.expect_same_shape(dy, x);
  const Operand dx = in.output("dx", kF32, {dy});
  in.expect_same_shape(dx, x);
  return
      [=, x = x.tensor(), dy = dy.tensor(), dx = dx.tensor()](const tersor_backend& backend, tersor_context* context) {
        return backend.activate_gradient(context, activation, &x, &dy, &dx);
      };
}

auto scale(Arguments& in) {
  const Operand x = in.input("x", kF32);
  const float factor = in.finite("factor");
  const Operand y = in.output("y", kF32, {x});
  in.expect_same_shape(y, x);
  return [factor, x = x.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.scale(context, &x, factor, &y);
  };
}

auto binary(Arguments& in) {
  const auto op = static_cast<tersor_binary_op>(in.integer("op", TERSOR_ADD, TERSOR_MUL));
  const Operand a = in.input("a", kF32);
  const Operand b = in.input("b", kF32);
  const Operand y = in.output("y", kF32, {a, b});
  const bool row_vector = b.rank() == 1 && a.rank() > 1;
  if (row_vector) {
    in.expect_shape(b, {a.dim(a.rank() - 1)}, {a});
  } else {
    in.expect_same_shape(b, a);
  }
  in.expect_same_shape(y, a);
  return [op, a = a.tensor(), b = b.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.binary(context, op, &a, &b, &y);
  };
}

auto reduce(Arguments& in) {
  const auto op = static_cast<tersor_reduce_op>(in.integer("op", TERSOR_SUM, TERSOR_MAX));
  const Operand x = in.input("x", kF32);
  if (x.rank() != 1) in.expect_shape(x, {kAny, kAny});
  const auto axis = static_cast<int32_t>(in.integer("axis", -1, x.rank() - 1));
  const Operand y = in.output("y", kF32);
  in.expect_shape(y, {axis < 0 || x.rank() == 1 ? 1 : x.dim(1 - axis)}, {x});
  return [op, axis, x = x.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.reduce(context, op, &x, axis, &y);
  };
}

auto copy_columns(Arguments& in) {
  const Operand x = in.input("x", kByteSized, 2);
  const int64_t x_begin = in.integer("xBegin", 0, x.dim(1));
  const Operand y = in.update("y", set_of({x.tensor().dtype}), 2);
  in.expect_shape(y, {x.dim(0), kAny}, {x});
  const int64_t y_begin = in.integer("yBegin", 0, y.dim(1));
  const int64_t count = in.integer("count", 0, std::min(x.dim(1) - x_begin, y.dim(1) - y_begin));
  return [=, x = x.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.copy_columns(context, &x, x_begin, &y, y_begin, count);
  };
}

template <auto member>
auto map_rows(Arguments& in) {
  const Operand x = in.input("x", kF32);
  const Operand y = in.output("y", kF32, {x});
  in.expect_same_shape(y, x);
  return [x = x.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    return (backend.*member)(context, &x, &y);
  };
}

template <auto member>
auto map_rows_gradient(Arguments& in) {
  const Operand y = in.input("y", kF32);
  const Operand dy = in.input("dy", kF32);
  in.expect_same_shape(dy, y);
  const Operand dx = in.output("dx", kF32, {dy});
  in.expect_same_shape(dx, y);
  return [y = y.tensor(), dy = dy.tensor(), dx = dx.tensor()](const tersor_backend& backend, tersor_context* context) {
    return (backend.*member)(context, &y, &dy, &dx);
  };
}

struct NormalizationArguments {
  OptionalTensor weight, bias;
  float epsilon;
  bool center;
  tersor_normalization get() const { return {weight.get(), bias.get(), epsilon, center}; }
};

NormalizationArguments normalization(Arguments& in, const Operand& x) {
  const int64_t columns = x.rank() == 0 ? 1 : x.dim(x.rank() - 1);
  if (columns == 0) in.fail(TERSOR_INVALID_SHAPE, "expected rows of x to have elements, got none");
  const OptionalOperand weight = in.optional_input("weight", kF32);
  in.expect_shape(weight, {columns}, {x});
  const OptionalOperand bias = in.optional_input("bias", kF32);
  in.expect_shape(bias, {columns}, {x});
  const float epsilon = in.non_negative("epsilon");
  return {weight.tensor(), bias.tensor(), epsilon, in.boolean("center")};
}

auto normalize(Arguments& in) {
  const Operand x = in.input("x", kF32);
  const NormalizationArguments arguments = normalization(in, x);
  const Operand y = in.output("y", kF32, {x});
  in.expect_same_shape(y, x);
  return [arguments, x = x.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    const tersor_normalization norm = arguments.get();
    return backend.normalize(context, &x, &norm, &y);
  };
}

auto normalize_gradient(Arguments& in) {
  const Operand x = in.input("x", kF32);
  const NormalizationArguments arguments = normalization(in, x);
  const Operand dy = in.input("dy", kF32);
  in.expect_same_shape(dy, x);
  const OptionalOperand dx = in.optional_output("dx", kF32);
  in.expect_same_shape(dx, x);
  const OptionalOperand weight_gradient = in.optional_output("weightGradient", kF32);
  const OptionalOperand bias_gradient = in.optional_output("biasGradient", kF32);
  const int64_t columns = x.rank() == 0 ? 1 : x.dim(x.rank() - 1);
  in.expect_shape(weight_gradient, {columns}, {x});
  in.expect_shape(bias_gradient, {columns}, {x});
  return [arguments, x = x.tensor(), dy = dy.tensor(), dx = dx.tensor(), dw = weight_gradient.tensor(),
          db = bias_gradient.tensor()](const tersor_backend& backend, tersor_context* context) {
    const tersor_normalization norm = arguments.get();
    return backend.normalize_gradient(context, &x, &norm, &dy, dx.get(), dw.get(), db.get());
  };
}

constexpr Operation kOperations[] = {
    operation<activate>("activate", 3),
    operation<activate_gradient>("activateGradient", 4),
    operation<scale>("scale", 3),
    operation<binary>("binary", 4),
    operation<reduce>("reduce", 4),
    operation<copy_columns>("copyColumns", 5),
    operation<map_rows<&tersor_backend::softmax>>("softmax", 2),
    operation<map_rows_gradient<&tersor_backend::softmax_gradient>>("softmaxGradient", 3),
    operation<map_rows<&tersor_backend::log_softmax>>("logSoftmax", 2),
    operation<map_rows_gradient<&tersor_backend::log_softmax_gradient>>("logSoftmaxGradient", 3),
    operation<normalize>("normalize", 6),
    operation<normalize_gradient>("normalizeGradient", 9),
};

}  // namespace

std::span<const Operation> elementwise_operations() { return kOperations; }

}  // namespace tersor::binding
