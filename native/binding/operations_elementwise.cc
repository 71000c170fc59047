// Element-wise operations, reductions, softmax and rows of tables.
#include <algorithm>

#include "binding/operation.h"

namespace tersor::binding {
namespace {

auto relu(Arguments& in) {
  const Operand x = in.input("x", kF32);
  const Operand y = in.output("y", kF32, {x});
  in.expect_same_shape(y, x);
  return [x = x.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.relu(context, &x, &y);
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
  const auto op = static_cast<tersor_binary_op>(in.integer("op", TERSOR_ADD, TERSOR_RELU_GRADIENT));
  const Operand a = in.input("a", kF32);
  const Operand b = in.input("b", kF32);
  const Operand y = in.output("y", kF32, {a, b});
  const bool row_vector = op != TERSOR_RELU_GRADIENT && b.rank() == 1 && a.rank() > 1;
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

auto softmax(Arguments& in) {
  const Operand x = in.input("x", kF32);
  const Operand y = in.output("y", kF32, {x});
  in.expect_same_shape(y, x);
  return [x = x.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.softmax(context, &x, &y);
  };
}

constexpr Operation kOperations[] = {
    operation<relu>("relu", 2),
    operation<scale>("scale", 3),
    operation<binary>("binary", 4),
    operation<reduce>("reduce", 4),
    operation<copy_columns>("copyColumns", 5),
    operation<softmax>("softmax", 2),
};

}  // namespace

std::span<const Operation> elementwise_operations() { return kOperations; }

}  // namespace tersor::binding
