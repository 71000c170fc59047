// Products with dense, integer, quantized and low-rank weights.
#include "binding/product_arguments.h"

namespace tersor::binding {
namespace {

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

constexpr Operation kOperations[] = {
    operation<gemm>("gemm", 9),
    operation<pack_gemm>("packGemm", 2),
    operation<gemm_packed>("gemmPacked", 8),
    operation<gram>("gram", 4),
    operation<pack_int8>("packInt8", 2),
    operation<gemm_int8>("gemmInt8", 13),
    operation<int8_product<Int8Weight, true>>("gemmInt8Dynamic", 9),
    operation<gemm_quantized>("gemmQuantized", 12),
    operation<pack_low_rank>("packLowRank", 3),
    operation<low_rank_gemm>("lowRankGemm", 9),
    operation<low_rank_gemm_packed>("lowRankGemmPacked", 10),
    operation<low_rank_gemm_quantized>("lowRankGemmQuantized", 14),
    operation<low_rank_gemm_int8_dynamic>("lowRankGemmInt8Dynamic", 11),
};

}  // namespace

std::span<const Operation> product_operations() { return kOperations; }

}  // namespace tersor::binding
