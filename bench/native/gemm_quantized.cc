// Products with group-quantized weights, x[m,k] * w[n,k]^T, of `bits` bits in groups of `group` columns; zero=1: zero
// points of each group's own; `gemm_codebook`: of the values of a codebook. x is rounded to `input` bits: 8, 16 or 32,
// for f32-accurate products. Rounding x is part of what is measured, packing w is not.
#include <memory>
#include <stdexcept>
#include <string>

#include "benchmark.h"
#include "core/cpu_features.h"
#include "operand.h"

namespace tersor::bench {
namespace {

tersor_dtype codes_of(int64_t bits) {
  switch (bits) {
    case 1:
      return TERSOR_U1;
    case 2:
      return TERSOR_U2;
    case 3:
      return TERSOR_U3;
    case 4:
      return TERSOR_U4;
    case 8:
      return TERSOR_U8;
    default:
      throw std::invalid_argument("expected bits=1 to 4 or 8, got " + std::to_string(bits));
  }
}

tersor_input_precision precision_of(int64_t input) {
  switch (input) {
    case 8:
      return TERSOR_INPUT_INT8;
    case 16:
      return TERSOR_INPUT_INT16;
    case 32:
      return TERSOR_INPUT_F32;
    default:
      throw std::invalid_argument("expected input=8, 16 or 32, got " + std::to_string(input));
  }
}

struct Product {
  int64_t m, n, k, group;
  tersor_dtype dtype;
  tersor_input_precision precision;
  Operand x, y, packed;
  tersor_quantized w;

  enum class Codes { affine, codebook };

  Product(const Parameters& shape, Codes kind)
      : m(shape["m"]),
        n(shape["n"]),
        k(shape["k"]),
        group(shape["group"]),
        dtype(codes_of(shape["bits"])),
        precision(precision_of(shape["input"])),
        x(TERSOR_F32, {m, k}),
        y(TERSOR_F32, {m, n}),
        packed(TERSOR_U8, {tersor_cpu_backend()->quantized_bytes(n, k, bits_of(dtype), group, 0)}),
        w{*static_cast<const tersor_tensor*>(packed), n, k, bits_of(dtype), group, 0} {
    x.fill<float>(1, -1000, 1000, 1000);
    const int64_t groups = (k + group - 1) / group;
    const Operand scales(TERSOR_F32, {n, groups});
    scales.fill<float>(2, 1, 1000, 1000);
    const Operand codes(TERSOR_U8, {n, row_bytes(dtype, k)});
    codes.fill<uint8_t>(4, 0, 255);
    tersor_tensor matrix = *static_cast<const tersor_tensor*>(codes);
    matrix.dtype = dtype;
    matrix.shape[1] = k;
    const int levels = 1 << bits_of(dtype);
    if (kind == Codes::codebook) {
      const Operand values(TERSOR_F32, {levels});
      for (int i = 0; i < levels; ++i)
        values.data<float>()[i] = static_cast<float>(2 * i + 1 - levels) / static_cast<float>(levels);
      const tersor_codebook codebook = {values, scales, group};
      call(tersor_cpu_backend()->pack_codebook, &matrix, &codebook, static_cast<const tersor_tensor*>(packed));
      return;
    }
    const Operand zeros(TERSOR_I32, {n, groups});
    zeros.fill<int32_t>(3, shape["zero"] == 0 ? levels / 2 : 0, shape["zero"] == 0 ? levels / 2 : levels - 1);
    const tersor_affine affine = {.scales = scales,
                                  .zero_points = zeros,
                                  .biases = nullptr,
                                  .code_min = 0,
                                  .code_max = levels - 1,
                                  .group_size = group};
    call(tersor_cpu_backend()->pack_quantized, &matrix, &affine, static_cast<const tersor_tensor*>(packed));
  }
};

// `digits`: x becomes int8 digits.
Benchmark benchmark_of(const std::shared_ptr<Product>& p, bool digits) {
  Benchmark benchmark;
  benchmark.arithmetic = digits ? Arithmetic::int8 : Arithmetic::f32;
  benchmark.operations =
      2.0 * static_cast<double>(p->m * p->n * p->k) * (digits ? 3 - static_cast<int>(p->precision) : 1);
  benchmark.bytes = static_cast<double>(p->x.bytes() + p->packed.bytes() + p->y.bytes());
  benchmark.ours = [p] { call(tersor_cpu_backend()->gemm_quantized, p->x, p->precision, &p->w, nullptr, p->y); };
  return benchmark;
}

// Without one, x stays f32.
bool has_int8_unit() { return active_isas().has(Isa::avx512_vnni) || active_isas().has(Isa::avx2_vnni); }

}  // namespace

Benchmark gemm_quantized(const Parameters& shape) {
  return benchmark_of(std::make_shared<Product>(shape, Product::Codes::affine), has_int8_unit());
}

Benchmark gemm_codebook(const Parameters& shape) {
  return benchmark_of(std::make_shared<Product>(shape, Product::Codes::codebook),
                      has_int8_unit() && shape["input"] == 8);
}

}  // namespace tersor::bench
