// Dense and sparse products and decompositions.
#include <algorithm>

#include "binding/operation.h"

namespace tersor::binding {
namespace {

void expect_int8_depth(const Arguments& in, int64_t depth) {
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
Epilogue read_epilogue(Arguments& in, int64_t rows, int64_t columns) {
  const OptionalOperand bias = in.optional_input("bias", kF32);
  in.expect_shape(bias, {columns});
  const tersor_activation activation = in.activation();
  const OptionalOperand residual = in.optional_input("residual", kF32);
  in.expect_shape(residual, {rows, columns});
  return {bias.tensor(), activation, residual.tensor()};
}

// Of each row of an integer weight, or of all of it.
tersor_tensor read_scales(Arguments& in, int64_t rows) {
  const Operand scales = in.input("scales", kF32, 1);
  if (scales.dim(0) != 1) in.expect_shape(scales, {rows});
  return scales.tensor();
}

tersor_tensor read_row_sums(Arguments& in, int64_t rows) {
  const Operand row_sums = in.input("rowSums", kI32);
  in.expect_shape(row_sums, {rows});
  return row_sums.tensor();
}

// tersor_int8_epilogue by value.
struct Int8Epilogue {
  float input_scale;
  int32_t input_zero_point;
  tersor_tensor scales, row_sums;
  Epilogue after;

  tersor_int8_epilogue view() const { return {input_scale, input_zero_point, &scales, &row_sums, after.view()}; }
};

// Of a weight with `rows` rows and x with `tokens` rows.
Int8Epilogue read_int8_epilogue(Arguments& in, int64_t tokens, int64_t rows) {
  const float input_scale = in.positive("inputScale");
  const auto input_zero_point = static_cast<int32_t>(in.integer("inputZeroPoint", 0, 255));
  const tersor_tensor scales = read_scales(in, rows), row_sums = read_row_sums(in, rows);
  return {input_scale, input_zero_point, scales, row_sums, read_epilogue(in, tokens, rows)};
}

// Codes that x has or, when it is f32, gets.
tersor_int8_codes read_input_codes(Arguments& in, const Operand& x) {
  const float scale = in.positive("inputScale");
  const int64_t lowest = x.tensor().dtype == TERSOR_I8 ? -128 : 0;
  return {scale, static_cast<int32_t>(in.integer("inputZeroPoint", lowest, lowest + 255))};
}

// tersor_csr, in argument order.
tersor_csr read_csr(Arguments& in, DTypes values_dtype) {
  const Operand row_offsets = in.input("rowOffsets", kU32, 1);
  if (row_offsets.dim(0) == 0) in.fail(TERSOR_INVALID_SHAPE, "expected rowOffsets of shape [rows + 1], got [0]");
  const Operand columns = in.input("columns", kU32, 1);
  const Operand values = in.input("values", values_dtype);
  in.expect_same_shape(values, columns);
  const int64_t cols = in.integer("cols", 0, INT32_MAX);
  if (values.tensor().dtype == TERSOR_I8 || values.tensor().dtype == TERSOR_U4) expect_int8_depth(in, cols);
  return {row_offsets.tensor(), columns.tensor(), values.tensor(), row_offsets.dim(0) - 1, cols};
}

// tersor_packed_csr, in argument order.
tersor_packed_csr read_packed_csr(Arguments& in) {
  const Operand packed = in.input("packed", kU8, 1);
  const int64_t rows = in.integer("rows", 0, INT32_MAX);
  return {packed.tensor(), rows, in.integer("cols", 0, INT32_MAX)};
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

auto gemm(Arguments& in) {
  const Operand a = in.input("a", kF32, 2);
  const bool transpose_a = in.boolean("transposeA");
  const Operand b = in.input("b", kF32, 2);
  const bool transpose_b = in.boolean("transposeB");
  const int64_t m = a.dim(transpose_a ? 1 : 0), k = a.dim(transpose_a ? 0 : 1), n = b.dim(transpose_b ? 0 : 1);
  if (transpose_b) {
    in.expect_shape(b, {kAny, k}, {a});
  } else {
    in.expect_shape(b, {k, kAny}, {a});
  }
  const Epilogue epilogue = read_epilogue(in, m, n);
  const bool accumulate = in.boolean("accumulate");
  const Operand c = in.output("c", kF32);
  in.expect_shape(c, {m, n}, {a, b});
  return [=, a = a.tensor(), b = b.tensor(), c = c.tensor()](const tersor_backend& backend, tersor_context* context) {
    const tersor_epilogue view = epilogue.view();
    return backend.gemm(context, &a, transpose_a, &b, transpose_b, &view, accumulate, &c);
  };
}

auto pack_gemm(Arguments& in) {
  const Operand w = in.input("w", kF32 | kBF16, 2);
  const tersor_dtype dtype = w.tensor().dtype;
  const Operand panels = in.output("panels", set_of({dtype}));
  in.expect_shape(panels, {in.backend().packed_elements(w.dim(0), w.dim(1), dtype)}, {w});
  return [w = w.tensor(), panels = panels.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.pack_gemm(context, &w, &panels);
  };
}

// tersor_packed, in argument order.
tersor_packed read_packed(Arguments& in) {
  const Operand panels = in.input("panels", kF32 | kBF16, 1);
  const int64_t rows = in.integer("rows", 0, INT32_MAX), cols = in.integer("cols", 0, INT32_MAX);
  in.expect_shape(panels, {in.backend().packed_elements(rows, cols, panels.tensor().dtype)});
  return {panels.tensor(), rows, cols};
}

auto gemm_packed(Arguments& in) { return packed_product(in, read_packed, &tersor_backend::gemm_packed); }

auto gram(Arguments& in) {
  const Operand x = in.input("x", kF32, 2);
  const bool accumulate = in.boolean("accumulate"), mirror = in.boolean("mirror");
  const Operand h = in.update("h", kF32);
  in.expect_shape(h, {x.dim(1), x.dim(1)}, {x});
  return [accumulate, mirror, x = x.tensor(), h = h.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.gram(context, &x, accumulate, mirror, &h);
  };
}

auto pack_int8(Arguments& in) {
  const Operand w = in.input("w", kI8, 2);
  const Operand packed = in.output("packed", kU8);
  in.expect_shape(packed, {in.backend().int8_bytes(w.dim(0), w.dim(1))}, {w});
  return [w = w.tensor(), packed = packed.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.pack_int8(context, &w, &packed);
  };
}

// tersor_int8_weight and its scales, in argument order.
struct Int8Weight {
  tersor_int8_weight view;
  tersor_tensor scales;

  static Int8Weight read(Arguments& in) {
    const Operand packed = in.input("packed", kU8, 1);
    const int64_t rows = in.integer("rows", 0, INT32_MAX);
    const int64_t cols = in.integer("cols", 0, INT32_MAX);
    expect_int8_depth(in, cols);
    in.expect_shape(packed, {in.backend().int8_bytes(rows, cols)});
    return {{packed.tensor(), rows, cols}, read_scales(in, rows)};
  }

  tersor_status multiply(const tersor_backend& backend, tersor_context* context, const tersor_tensor* x,
                         const tersor_int8_codes* input, const tersor_epilogue* epilogue,
                         const tersor_tensor* y) const {
    return backend.gemm_int8(context, x, &view, input, &scales, epilogue, nullptr, y);
  }
};

auto gemm_int8(Arguments& in) {
  const Operand x = in.input("x", kF32 | kU8 | kI8, 2);
  const tersor_int8_codes input = read_input_codes(in, x);
  const Int8Weight w = Int8Weight::read(in);
  in.expect_shape(x, {kAny, w.view.cols});
  const Epilogue epilogue = read_epilogue(in, x.dim(0), w.view.rows);
  const float output_scale = in.positive("outputScale");
  const auto output_zero_point = static_cast<int32_t>(in.integer("outputZeroPoint", 0, 255));
  const Operand y = in.output("y", kF32 | kU8);
  in.expect_shape(y, {x.dim(0), w.view.rows}, {x});
  return [=, x = x.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    const tersor_int8_codes output{output_scale, output_zero_point};
    const tersor_epilogue view = epilogue.view();
    return backend.gemm_int8(context, &x, &w.view, &input, &w.scales, &view, y.dtype == TERSOR_U8 ? &output : nullptr,
                             &y);
  };
}

auto csr_packed_bytes(Arguments& in) {
  const tersor_csr w = read_csr(in, kF32 | kI8 | kU4 | kU32);
  const Operand bytes = in.output("bytes", kI64);
  in.expect_shape(bytes, {1});
  return [w, bytes = bytes.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.csr_packed_bytes(context, &w, &bytes);
  };
}

auto pack_csr(Arguments& in) {
  const tersor_csr w = read_csr(in, kF32 | kI8 | kU4 | kU32);
  const Operand packed = in.output("packed", kU8);
  in.expect_shape(packed, {kAny});
  return [w, packed = packed.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.pack_csr(context, &w, &packed);
  };
}

auto csr_gemm(Arguments& in) { return packed_product(in, read_packed_csr, &tersor_backend::csr_gemm); }

auto csr_gemm_int8(Arguments& in) {
  const Operand x = in.input("x", kU8, 2);
  const tersor_packed_csr w = read_packed_csr(in);
  in.expect_shape(x, {kAny, w.cols});
  expect_int8_depth(in, w.cols);
  const Int8Epilogue epilogue = read_int8_epilogue(in, x.dim(0), w.rows);
  const Operand y = in.output("y", kF32);
  in.expect_shape(y, {x.dim(0), w.rows}, {x});
  return [epilogue, w, x = x.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    const tersor_int8_epilogue view = epilogue.view();
    return backend.csr_gemm_int8(context, &x, &w, &view, &y);
  };
}

auto csr_set_values(Arguments& in) {
  const tersor_packed_csr pattern = read_packed_csr(in);
  const Operand values = in.input("values", kF32, 1);
  const Operand packed = in.output("packed", kU8);
  in.expect_shape(packed, {pattern.packed.shape[0]});
  return [pattern, values = values.tensor(), packed = packed.tensor()](const tersor_backend& backend,
                                                                       tersor_context* context) {
    return backend.csr_set_values(context, &pattern, &values, &packed);
  };
}

auto csr_sddmm(Arguments& in) {
  const Operand dy = in.input("dy", kF32, 2);
  const Operand x = in.input("x", kF32, 2);
  const tersor_packed_csr pattern = read_packed_csr(in);
  in.expect_shape(dy, {kAny, pattern.rows});
  in.expect_shape(x, {dy.dim(0), pattern.cols}, {dy});
  const Operand values = in.output("values", kF32);
  in.expect_shape(values, {kAny});
  return [pattern, dy = dy.tensor(), x = x.tensor(), values = values.tensor()](const tersor_backend& backend,
                                                                               tersor_context* context) {
    return backend.csr_sddmm(context, &dy, &x, &pattern, &values);
  };
}

// tersor_nm, in argument order; integers say how many bits they take.
tersor_nm read_nm_of(Arguments& in, bool integers) {
  const Operand packed = in.input("packed", kU8, 1);
  const int64_t rows = in.integer("rows", 0, INT32_MAX);
  const int64_t cols = in.integer("cols", 0, INT32_MAX);
  const auto keep = static_cast<int32_t>(in.integer("keep", 1, 16));
  const auto group = static_cast<int32_t>(in.integer("group", keep, 16));
  const int32_t bits = integers ? in.choice("bits", 4, 8) : 32;
  const tersor_backend& backend = in.backend();
  in.expect_shape(packed, {integers ? backend.nm_int8_bytes(rows, cols, keep, group, bits)
                                    : backend.nm_bytes(rows, cols, keep, group)});
  return {packed.tensor(), rows, cols, keep, group, bits};
}

tersor_nm read_nm(Arguments& in) { return read_nm_of(in, false); }

tersor_nm read_nm_int8(Arguments& in) { return read_nm_of(in, true); }

auto nm_gemm(Arguments& in) { return packed_product(in, read_nm, &tersor_backend::nm_gemm); }

auto unpack_nm_int8(Arguments& in) {
  const tersor_nm w = read_nm_int8(in);
  const OptionalOperand ids = in.optional_input("ids", kI32, 1);
  const Operand y = in.output("y", kI8);
  in.expect_shape(y, {ids.present ? ids.operand.dim(0) : w.rows, w.cols});
  return [w, ids = ids.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.unpack_nm_int8(context, &w, ids.get(), &y);
  };
}

struct NmInt8Weight {
  tersor_nm view;
  tersor_tensor scales;

  static NmInt8Weight read(Arguments& in) {
    const tersor_nm view = read_nm_int8(in);
    return {view, read_scales(in, view.rows)};
  }

  tersor_status multiply(const tersor_backend& backend, tersor_context* context, const tersor_tensor* x,
                         const tersor_int8_codes* input, const tersor_epilogue* epilogue,
                         const tersor_tensor* y) const {
    return backend.nm_gemm_int8(context, x, &view, input, &scales, epilogue, y);
  }
};

auto unpack_nm(Arguments& in) {
  const tersor_nm w = read_nm(in);
  const OptionalOperand ids = in.optional_input("ids", kI32, 1);
  const Operand y = in.output("y", kF32);
  in.expect_shape(y, {ids.present ? ids.operand.dim(0) : w.rows, w.cols});
  return [w, ids = ids.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.unpack_nm(context, &w, ids.get(), &y);
  };
}

// tersor_blocks, in argument order.
tersor_blocks read_blocks_of(Arguments& in, DTypes values_dtype) {
  const Operand panel_offsets = in.input("panelOffsets", kU32, 1);
  const Operand columns = in.input("columns", kU32, 1);
  const Operand values = in.input("values", values_dtype, 1);
  const int64_t rows = in.integer("rows", 0, INT32_MAX);
  const int64_t cols = in.integer("cols", 0, INT32_MAX);
  const int32_t block_rows = in.choice("blockRows", 16, 32);
  const int32_t narrowest = values_dtype == kF32 ? 1 : 4;
  const int32_t block_cols = in.choice("blockCols", narrowest, 4);
  in.expect_shape(panel_offsets, {(rows + block_rows - 1) / block_rows + 1});
  const int64_t in_one = values.tensor().dtype == TERSOR_U8 ? 2 : 1;  // element
  in.expect_shape(values, {columns.dim(0) * block_rows * block_cols / in_one}, {columns});
  return {panel_offsets.tensor(), columns.tensor(), values.tensor(), rows, cols, block_rows, block_cols};
}

tersor_blocks read_blocks(Arguments& in) { return read_blocks_of(in, kF32); }

auto block_gemm(Arguments& in) { return packed_product(in, read_blocks, &tersor_backend::block_gemm); }

struct BlockInt8Weight {
  tersor_blocks view;
  tersor_tensor scales, row_sums;

  static BlockInt8Weight read(Arguments& in) {
    const tersor_blocks view = read_blocks_of(in, kI8 | kU8);
    const tersor_tensor scales = read_scales(in, view.rows);
    return {view, scales, read_row_sums(in, view.rows)};
  }

  tersor_status multiply(const tersor_backend& backend, tersor_context* context, const tersor_tensor* x,
                         const tersor_int8_codes* input, const tersor_epilogue* epilogue,
                         const tersor_tensor* y) const {
    return backend.block_gemm_int8(context, x, &view, input, &scales, &row_sums, epilogue, y);
  }
};

// tersor_quantized, in argument order.
tersor_quantized read_quantized(Arguments& in) {
  const Operand packed = in.input("packed", kU8, 1);
  const int64_t rows = in.integer("rows", 0, INT32_MAX);
  const int64_t cols = in.integer("cols", 0, INT32_MAX);
  const auto bits = static_cast<int32_t>(in.integer("bits", 1, 8));
  if (bits > 4 && bits < 8) in.fail(TERSOR_OUT_OF_RANGE, "expected bits 1 to 4 or 8, got " + std::to_string(bits));
  const int64_t group_size = in.integer("groupSize", 1, kMaxSafeInteger);
  const int32_t has_offsets = in.boolean("hasOffsets") ? 1 : 0;
  in.expect_shape(packed, {in.backend().quantized_bytes(rows, cols, bits, group_size, has_offsets)});
  return {packed.tensor(), rows, cols, bits, group_size, has_offsets};
}

auto gemm_quantized(Arguments& in) {
  const Operand x = in.input("x", kF32, 2);
  const auto precision =
      static_cast<tersor_input_precision>(in.integer("precision", TERSOR_INPUT_F32, TERSOR_INPUT_INT8));
  const tersor_quantized w = read_quantized(in);
  in.expect_shape(x, {kAny, w.cols});
  const Epilogue epilogue = read_epilogue(in, x.dim(0), w.rows);
  const Operand y = in.output("y", kF32);
  in.expect_shape(y, {x.dim(0), w.rows}, {x});
  return
      [w, precision, epilogue, x = x.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
        const tersor_epilogue view = epilogue.view();
        return backend.gemm_quantized(context, &x, precision, &w, &view, &y);
      };
}

auto pack_low_rank(Arguments& in) {
  const Operand left = in.input("left", kF32, 2);
  const Operand right = in.input("right", kF32, 2);
  in.expect_shape(right, {left.dim(1), kAny}, {left});
  const Operand packed = in.output("packed", kF32);
  in.expect_shape(packed, {in.backend().low_rank_elements(left.dim(0), right.dim(1), left.dim(1))}, {left, right});
  return [left = left.tensor(), right = right.tensor(), packed = packed.tensor()](const tersor_backend& backend,
                                                                                  tersor_context* context) {
    return backend.pack_low_rank(context, &left, &right, &packed);
  };
}

// A weight that one of low rank is added to, by value: `view` has pointers to what is in use.
struct NoAddend {
  const tersor_addend* view(tersor_addend&) const { return nullptr; }
};

struct DenseAddend {
  tersor_packed w;
  const tersor_addend* view(tersor_addend& addend) const {
    addend.dense = &w;
    return &addend;
  }
};

struct QuantizedAddend {
  tersor_input_precision precision;
  tersor_quantized w;
  const tersor_addend* view(tersor_addend& addend) const {
    addend.quantized = &w;
    addend.precision = precision;
    return &addend;
  }
};

struct Int8Addend {
  Int8Weight w;
  const tersor_addend* view(tersor_addend& addend) const {
    addend.int8 = &w.view;
    addend.scales = &w.scales;
    return &addend;
  }
};

// What follows x and the weight [rows, cols] that the one of low rank is added to, if there is one.
template <typename Addend>
auto read_low_rank_gemm(Arguments& in, const Operand& from, const Addend& addend, int64_t rows, int64_t cols) {
  const Operand packed = in.input("packed", kF32, 1);
  const int64_t rank = in.integer("rank", 0, INT32_MAX);
  in.expect_shape(packed, {in.backend().low_rank_elements(rows, cols, rank)});
  in.expect_shape(from, {kAny, cols});
  const Epilogue epilogue = read_epilogue(in, from.dim(0), rows);
  const Operand y = in.output("y", kF32);
  in.expect_shape(y, {from.dim(0), rows}, {from});
  return [=, w = tersor_low_rank{packed.tensor(), rows, cols, rank}, x = from.tensor(), y = y.tensor()](
             const tersor_backend& backend, tersor_context* context) {
    tersor_addend view{};
    const tersor_epilogue end = epilogue.view();
    return backend.low_rank_gemm(context, &x, addend.view(view), &w, &end, &y);
  };
}

auto low_rank_gemm(Arguments& in) {
  const Operand x = in.input("x", kF32, 2);
  const int64_t rows = in.integer("rows", 0, INT32_MAX);
  const int64_t cols = in.integer("cols", 0, INT32_MAX);
  return read_low_rank_gemm(in, x, NoAddend{}, rows, cols);
}

auto low_rank_gemm_packed(Arguments& in) {
  const Operand x = in.input("x", kF32, 2);
  const DenseAddend addend{read_packed(in)};
  return read_low_rank_gemm(in, x, addend, addend.w.rows, addend.w.cols);
}

auto low_rank_gemm_quantized(Arguments& in) {
  const Operand x = in.input("x", kF32, 2);
  const auto precision =
      static_cast<tersor_input_precision>(in.integer("precision", TERSOR_INPUT_F32, TERSOR_INPUT_INT8));
  const QuantizedAddend addend{precision, read_quantized(in)};
  return read_low_rank_gemm(in, x, addend, addend.w.rows, addend.w.cols);
}

auto low_rank_gemm_int8_dynamic(Arguments& in) {
  const Operand x = in.input("x", kF32, 2);
  const Int8Addend addend{Int8Weight::read(in)};
  return read_low_rank_gemm(in, x, addend, addend.w.view.rows, addend.w.view.cols);
}

auto svd(Arguments& in) {
  const Operand a = in.input("a", kF32, 2);
  const int64_t m = a.dim(0), n = a.dim(1), k = std::min(m, n);
  const Operand u = in.output("u", kF32);
  const Operand s = in.output("s", kF32);
  const Operand vt = in.output("vt", kF32);
  in.expect_shape(u, {m, k}, {a});
  in.expect_shape(s, {k}, {a});
  in.expect_shape(vt, {k, n}, {a});
  return [a = a.tensor(), u = u.tensor(), s = s.tensor(), vt = vt.tensor()](
             const tersor_backend& backend, tersor_context* context) { return backend.svd(context, &a, &u, &s, &vt); };
}

auto svd_randomized(Arguments& in) {
  const Operand a = in.input("a", kF32, 2);
  const int64_t m = a.dim(0), n = a.dim(1);
  const uint64_t seed = in.unsigned64("seed");
  const auto oversampling = static_cast<int32_t>(in.integer("oversampling", 0, INT32_MAX));
  const auto power = static_cast<int32_t>(in.integer("power", 1, INT32_MAX));
  const Operand u = in.output("u", kF32);
  const Operand s = in.output("s", kF32);
  const Operand vt = in.output("vt", kF32);
  in.expect_shape(s, {kAny}, {a});
  const int64_t k = s.dim(0);
  if (k > std::min(m, n)) {
    in.fail(TERSOR_INVALID_SHAPE,
            "expected a rank of at most " + std::to_string(std::min(m, n)) + ", got " + std::to_string(k));
  }
  in.expect_shape(u, {m, k}, {a, s});
  in.expect_shape(vt, {k, n}, {a, s});
  return [options = tersor_svd_randomized_options{seed, oversampling, power}, a = a.tensor(), u = u.tensor(),
          s = s.tensor(), vt = vt.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.svd_randomized(context, &a, &options, &u, &s, &vt);
  };
}

auto svd_batched(Arguments& in) {
  const Operand a = in.input("a", kF32, 3);
  const int64_t count = a.dim(0), m = a.dim(1), n = a.dim(2), k = std::min(m, n);
  constexpr int64_t kLimit = TERSOR_SVD_BATCHED_LIMIT;
  if (m > kLimit || n > kLimit) {
    in.fail(TERSOR_INVALID_SHAPE, "expected matrices of at most " + std::to_string(kLimit) + " rows and columns, got " +
                                      std::to_string(m) + " x " + std::to_string(n));
  }
  const Operand u = in.output("u", kF32);
  const Operand s = in.output("s", kF32);
  const Operand vt = in.output("vt", kF32);
  in.expect_shape(u, {count, m, k}, {a});
  in.expect_shape(s, {count, k}, {a});
  in.expect_shape(vt, {count, k, n}, {a});
  return [a = a.tensor(), u = u.tensor(), s = s.tensor(), vt = vt.tensor()](const tersor_backend& backend,
                                                                            tersor_context* context) {
    return backend.svd_batched(context, &a, &u, &s, &vt);
  };
}

constexpr Operation kOperations[] = {
    operation<gemm>("gemm", 9),
    operation<pack_gemm>("packGemm", 2),
    operation<gemm_packed>("gemmPacked", 8),
    operation<gram>("gram", 4),
    operation<pack_int8>("packInt8", 2),
    operation<gemm_int8>("gemmInt8", 13),
    operation<int8_product<Int8Weight, true>>("gemmInt8Dynamic", 9),
    operation<csr_packed_bytes>("csrPackedBytes", 5),
    operation<pack_csr>("packCsr", 5),
    operation<csr_gemm>("csrGemm", 8),
    operation<csr_gemm_int8>("csrGemmInt8", 12),
    operation<gemm_quantized>("gemmQuantized", 12),
    operation<pack_low_rank>("packLowRank", 3),
    operation<low_rank_gemm>("lowRankGemm", 9),
    operation<low_rank_gemm_packed>("lowRankGemmPacked", 10),
    operation<low_rank_gemm_quantized>("lowRankGemmQuantized", 14),
    operation<low_rank_gemm_int8_dynamic>("lowRankGemmInt8Dynamic", 11),
    operation<csr_set_values>("csrSetValues", 5),
    operation<csr_sddmm>("csrSddmm", 6),
    operation<nm_gemm>("nmGemm", 10),
    operation<block_gemm>("blockGemm", 12),
    operation<int8_product<BlockInt8Weight, false>>("blockGemmInt8", 16),
    operation<int8_product<BlockInt8Weight, true>>("blockGemmInt8Dynamic", 14),
    operation<unpack_nm>("unpackNm", 7),
    operation<unpack_nm_int8>("unpackNmInt8", 8),
    operation<int8_product<NmInt8Weight, false>>("nmGemmInt8", 14),
    operation<int8_product<NmInt8Weight, true>>("nmGemmInt8Dynamic", 12),
    operation<svd>("svd", 4),
    operation<svd_batched>("svdBatched", 4),
    operation<svd_randomized>("svdRandomized", 7),
};

}  // namespace

std::span<const Operation> product_operations() { return kOperations; }

}  // namespace tersor::binding
