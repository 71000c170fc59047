// Products with sparse weights: CSR, N:M and blocks.
#include "binding/product_arguments.h"

namespace tersor::binding {
namespace {

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

constexpr Operation kOperations[] = {
    operation<csr_packed_bytes>("csrPackedBytes", 5),
    operation<pack_csr>("packCsr", 5),
    operation<csr_gemm>("csrGemm", 8),
    operation<csr_gemm_int8>("csrGemmInt8", 12),
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
};

}  // namespace

std::span<const Operation> sparse_operations() { return kOperations; }

}  // namespace tersor::binding
