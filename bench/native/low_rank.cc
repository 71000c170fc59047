// x[m,k] * (left[n,rank] * right[rank,k])^T, alone (addend=0) or added to the product with a weight [n,k]: f32
// (addend=32), int8 with dynamically quantized inputs (addend=8), 4-bit codes in groups of 128 with int8 inputs
// (addend=4). The peer makes the same products one after another, each into memory of its own, and adds nothing up.
#include <memory>
#include <stdexcept>
#include <string>

#include "benchmark.h"
#include "operand.h"

namespace tersor::bench {
namespace {

const tersor_backend& backend() { return *tersor_cpu_backend(); }

// A dense weight f32 laid out for products.
struct Panels {
  Operand panels;
  tersor_packed w;

  explicit Panels(const Operand& matrix, int64_t rows, int64_t cols)
      : panels(TERSOR_F32, {backend().packed_elements(rows, cols, TERSOR_F32)}), w{*panels, rows, cols} {
    call(backend().pack_gemm, matrix, panels);
  }
};

Operand& filled(Operand& operand, uint32_t seed) {
  operand.fill<float>(seed, -1000, 1000, 1000);
  return operand;
}

struct Layer {
  int64_t m, n, k, rank, kind;
  Operand x, y, sum, reduced, left, right, packed;
  tersor_low_rank w;
  Panels left_panels, right_panels;
  Operand matrix, scales;  // the other weight and its scales, if there is one
  tersor_packed dense{};
  tersor_quantized quantized{};
  tersor_int8_weight int8{};
  tersor_addend addend{};

  explicit Layer(const Parameters& shape)
      : m(shape["m"]),
        n(shape["n"]),
        k(shape["k"]),
        rank(shape["rank"]),
        kind(shape["addend"]),
        x(TERSOR_F32, {m, k}),
        y(TERSOR_F32, {m, n}),
        sum(TERSOR_F32, {m, n}),
        reduced(TERSOR_F32, {m, rank}),
        left(TERSOR_F32, {n, rank}),
        right(TERSOR_F32, {rank, k}),
        packed(TERSOR_F32, {backend().low_rank_elements(n, k, rank)}),
        w{*packed, n, k, rank},
        left_panels(filled(left, 2), n, rank),
        right_panels(filled(right, 3), rank, k),
        matrix(kind == 32 ? TERSOR_F32 : TERSOR_U8, {bytes_or_elements()}),
        scales(TERSOR_F32, {n, kind == 4 ? (k + 127) / 128 : 1}) {
    filled(x, 1);
    scales.fill<float>(4, 1, 1000, 1000);
    call(backend().pack_low_rank, left, right, packed);
    lay_out();
  }

  int64_t bytes_or_elements() const {
    switch (kind) {
      case 0:
        return 0;
      case 4:
        return backend().quantized_bytes(n, k, 4, 128, 0);
      case 8:
        return backend().int8_bytes(n, k);
      case 32:
        return backend().packed_elements(n, k, TERSOR_F32);
      default:
        throw std::invalid_argument("expected addend=0, 4, 8 or 32, got " + std::to_string(kind));
    }
  }

  void lay_out() {
    if (kind == 4) {
      const Operand codes(TERSOR_U8, {n, (k + 1) / 2}), zeros(TERSOR_I32, {n, (k + 127) / 128});
      codes.fill<uint8_t>(5, 0, 255);
      zeros.fill<int32_t>(6, 8, 8);
      tersor_tensor view = *codes;
      view.dtype = TERSOR_U4;
      view.shape[1] = k;
      const tersor_affine affine = {scales, zeros, nullptr, 0, 15, 128};
      call(backend().pack_quantized, &view, &affine, static_cast<const tersor_tensor*>(matrix));
      quantized = {*matrix, n, k, 4, 128, 0};
      addend.quantized = &quantized;
      addend.precision = TERSOR_INPUT_INT8;
    } else if (kind == 8) {
      const Operand codes(TERSOR_I8, {n, k});
      codes.fill<int8_t>(5, -127, 127);
      call(backend().pack_int8, codes, matrix);
      int8 = {*matrix, n, k};
      addend.int8 = &int8;
      addend.scales = scale_vector();
    } else if (kind == 32) {
      Operand values(TERSOR_F32, {n, k});
      call(backend().pack_gemm, filled(values, 5), matrix);
      dense = {*matrix, n, k};
      addend.dense = &dense;
    }
  }

  const tersor_tensor* scale_vector() {
    vector_ = *scales;
    vector_.rank = 1;
    return &vector_;
  }

  void multiply() const { call(backend().low_rank_gemm, x, kind == 0 ? nullptr : &addend, &w, nullptr, y); }

  void multiply_by_addend(const tersor_epilogue* epilogue, const Operand& to) const {
    if (kind == 4) call(backend().gemm_quantized, x, addend.precision, &quantized, epilogue, to);
    if (kind == 8) call(backend().gemm_int8, x, &int8, nullptr, addend.scales, epilogue, nullptr, to);
    if (kind == 32) call(backend().gemm_packed, x, &dense, epilogue, to);
  }

  void multiply_by_factors(const Operand& to) const {
    call(backend().gemm_packed, x, &right_panels.w, nullptr, reduced);
    call(backend().gemm_packed, reduced, &left_panels.w, nullptr, to);
  }

 private:
  tersor_tensor vector_{};
};

}  // namespace

Benchmark low_rank(const Parameters& shape) {
  const auto p = std::make_shared<Layer>(shape);
  Benchmark benchmark;
  benchmark.ours = [p] { p->multiply(); };
  benchmark.peer = [p] {
    p->multiply_by_factors(p->sum);
    if (p->kind != 0) p->multiply_by_addend(nullptr, p->y);
  };
  benchmark.peer_label = "its products, one after another";
  benchmark.compare = [p] {
    p->multiply_by_factors(p->sum);
    const tersor_epilogue epilogue = {nullptr, TERSOR_IDENTITY, p->sum};
    const Operand expected(TERSOR_F32, {p->m, p->n});
    if (p->kind != 0) p->multiply_by_addend(&epilogue, expected);
    p->multiply();
    require_same(p->y, (p->kind == 0 ? p->sum : expected).data<float>());
  };
  return benchmark;
}

}  // namespace tersor::bench
