// What the arguments of products have in common: what ends them, what codes are of, and the way from them to the
// backend.
#pragma once

#include <string>

#include "binding/operation.h"

namespace tersor::binding {

inline void expect_int8_depth(const Arguments& in, int64_t depth) {
  if (depth <= TERSOR_LONGEST_INT8_SUM) return;
  in.fail(TERSOR_UNSUPPORTED, "expected at most " + std::to_string(TERSOR_LONGEST_INT8_SUM) +
                                  " columns so that int32 sums are exact, got " + std::to_string(depth));
}

// tersor_epilogue by value, so that it can move into a job.
struct Epilogue {
  OptionalTensor bias;
  tersor_activation activation;
  OptionalTensor residual;

  tersor_epilogue view() const { return {bias.get(), activation, residual.get()}; }
};

// Bias, activation and residual of a product with `rows` rows and `columns` columns.
inline Epilogue read_epilogue(Arguments& in, int64_t rows, int64_t columns) {
  const OptionalOperand bias = in.optional_input("bias", kF32);
  in.expect_shape(bias, {columns});
  const tersor_activation activation = in.activation();
  const OptionalOperand residual = in.optional_input("residual", kF32);
  in.expect_shape(residual, {rows, columns});
  return {bias.tensor(), activation, residual.tensor()};
}

// Of each row of an integer weight, or of all of it.
inline tersor_tensor read_scales(Arguments& in, int64_t rows) {
  const Operand scales = in.input("scales", kF32, 1);
  if (scales.dim(0) != 1) in.expect_shape(scales, {rows});
  return scales.tensor();
}

inline tersor_tensor read_row_sums(Arguments& in, int64_t rows) {
  const Operand row_sums = in.input("rowSums", kI32);
  in.expect_shape(row_sums, {rows});
  return row_sums.tensor();
}

// Codes that x has or, when it is f32, gets.
inline tersor_int8_codes read_input_codes(Arguments& in, const Operand& x) {
  const float scale = in.positive("inputScale");
  const int64_t lowest = x.tensor().dtype == TERSOR_I8 ? -128 : 0;
  return {scale, static_cast<int32_t>(in.integer("inputZeroPoint", lowest, lowest + 255))};
}

// y = epilogue(x * w^T) with a packed form of a weight, which `read` reads.
template <typename Weight>
using PackedProduct = tersor_status (*)(tersor_context*, const tersor_tensor* x, const Weight* w,
                                        const tersor_epilogue*, const tersor_tensor* y);

template <typename Weight>
auto packed_product(Arguments& in, Weight (*read)(Arguments&), PackedProduct<Weight> tersor_backend::*multiply) {
  const Operand x = in.input("x", kF32, 2);
  const Weight w = read(in);
  in.expect_shape(x, {kAny, w.cols});
  const Epilogue epilogue = read_epilogue(in, x.dim(0), w.rows);
  const Operand y = in.output("y", kF32);
  in.expect_shape(y, {x.dim(0), w.rows}, {x});
  return [=, x = x.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    const tersor_epilogue view = epilogue.view();
    return (backend.*multiply)(context, &x, &w, &view, &y);
  };
}

// The product of an integer weight that `Weight::read` reads, with x in codes or to get them: given ones, or each row
// its own when `dynamic`.
template <typename Weight, bool dynamic>
auto int8_product(Arguments& in) {
  const Operand x = in.input("x", dynamic ? kF32 : kF32 | kU8 | kI8, 2);
  const tersor_int8_codes codes = dynamic ? tersor_int8_codes{} : read_input_codes(in, x);
  const Weight w = Weight::read(in);
  expect_int8_depth(in, w.view.cols);
  in.expect_shape(x, {kAny, w.view.cols});
  const Epilogue epilogue = read_epilogue(in, x.dim(0), w.view.rows);
  const Operand y = in.output("y", kF32);
  in.expect_shape(y, {x.dim(0), w.view.rows}, {x});
  return [=, x = x.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    const tersor_epilogue view = epilogue.view();
    return w.multiply(backend, context, &x, dynamic ? nullptr : &codes, &view, &y);
  };
}

}  // namespace tersor::binding
