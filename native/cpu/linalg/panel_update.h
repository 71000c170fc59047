// The product inside every triangular sweep (Cholesky, GPTQ) and of tall matrices, compiled by each ISA file for
// itself: everything is in an anonymous namespace, so that no copy made with ISA flags can be linked into baseline
// code.
//
//   c[j][lane] -= sum over p < depth of a[p][lane] * b[p][j]    for j < columns and every lane
//
// Vector brings: Number, Register, kWidth, zero(), load(p), broadcast(p), multiply_add(a, b, c), add(a, b),
// subtract(a, b), store(p, v).
#pragma once

#include <cstdint>

#if defined(__AVX2__)
#include <immintrin.h>
#elif TERSOR_NEON
#include "cpu/vector/outer_product.h"
#endif

namespace tersor::cpu {
namespace {

// What becomes of c: less the sums, more by them, or the sums.
enum class PanelEnd { subtract, add, assign };

template <typename Vector, int kVectors, int kPanelColumns, PanelEnd kEnd = PanelEnd::subtract>
struct PanelUpdate {
  using Number = typename Vector::Number;
  static constexpr int kLanes = kVectors * Vector::kWidth;
  static constexpr int kColumns = kPanelColumns;

  static void run(int64_t depth, const Number* a, int64_t a_stride, const Number* b, int64_t b_stride, Number* c,
                  int64_t c_stride) {
    update<true>(depth, a, a_stride, b, b_stride, 1, c, c_stride);
  }

  // The same of b[j][p].
  static void run_rows(int64_t depth, const Number* a, int64_t a_stride, const Number* b, int64_t b_stride, Number* c,
                       int64_t c_stride) {
    update<false>(depth, a, a_stride, b, 1, b_stride, c, c_stride);
  }

  // The same, and asks meanwhile for as many numbers of other rows, which lie as b's do.
  static void run_rows(int64_t depth, const Number* a, int64_t a_stride, const Number* b, int64_t b_stride, Number* c,
                       int64_t c_stride, const Number* next) {
    update<false, true>(depth, a, a_stride, b, 1, b_stride, c, c_stride, next);
  }

 private:
  using Register = typename Vector::Register;

  // sums[j] += b[j * stride] * lanes; kAdjacent: stride is 1.
  template <bool kAdjacent>
  [[gnu::always_inline]] static inline void add_products(const Number* b, int64_t stride,
                                                         const Register (&lanes)[kVectors],
                                                         Register (&sums)[kColumns][kVectors]) {
#if TERSOR_NEON
    if constexpr (kAdjacent) return add_outer_product<Vector>(b, lanes, sums);
#endif
#pragma GCC unroll 12
    for (int j = 0; j < kColumns; ++j) {
      const Register factor = Vector::broadcast(b + j * stride);
#pragma GCC unroll 6
      for (int v = 0; v < kVectors; ++v) sums[j][v] = Vector::multiply_add(factor, lanes[v], sums[j][v]);
      // No broadcast before its turn: gcc 12 would hold all of them in registers, and push sums out.
      if constexpr (Vector::kWidth > 1) asm volatile("" ::: "memory");
    }
  }

  template <bool kAdjacent, bool kAsks = false>
  [[gnu::always_inline]] static inline void update(int64_t depth, const Number* a, int64_t a_stride, const Number* b,
                                                   int64_t b_stride, int64_t b_column_stride, Number* c,
                                                   int64_t c_stride, [[maybe_unused]] const Number* next = nullptr) {
    Register sums[kColumns][kVectors];
#pragma GCC unroll 12
    for (int j = 0; j < kColumns; ++j) {
#pragma GCC unroll 6
      for (int v = 0; v < kVectors; ++v) sums[j][v] = Vector::zero();
    }
    for (int64_t p = 0; p < depth; ++p) {
      if constexpr (kAsks) {
        // A cache line of each row in turn: all of them at once would wait for one another.
        constexpr int64_t kLine = 64 / sizeof(Number);
        if (const int64_t row = p % kLine; row < kColumns) {
          __builtin_prefetch(next + row * b_column_stride + (p - row), 0, 2);
        }
      }
      Register lanes[kVectors];
#pragma GCC unroll 6
      for (int v = 0; v < kVectors; ++v) lanes[v] = Vector::load(a + v * Vector::kWidth);
      add_products<kAdjacent>(b, b_column_stride, lanes, sums);
      a += a_stride;
      b += b_stride;
    }
#pragma GCC unroll 12
    for (int j = 0; j < kColumns; ++j) {
#pragma GCC unroll 6
      for (int v = 0; v < kVectors; ++v) {
        Number* out = c + j * c_stride + v * Vector::kWidth;
        if constexpr (kEnd == PanelEnd::assign) {
          Vector::store(out, sums[j][v]);
        } else if constexpr (kEnd == PanelEnd::add) {
          Vector::store(out, Vector::add(Vector::load(out), sums[j][v]));
        } else {
          Vector::store(out, Vector::subtract(Vector::load(out), sums[j][v]));
        }
      }
    }
  }
};

#if defined(__AVX512F__)
struct WideF32 {
  using Number = float;
  using Register = __m512;
  static constexpr int kWidth = 16;
  static Register zero() { return _mm512_setzero_ps(); }
  static Register load(const float* p) { return _mm512_loadu_ps(p); }
  static Register broadcast(const float* p) { return _mm512_set1_ps(*p); }
  static Register multiply_add(Register a, Register b, Register c) { return _mm512_fmadd_ps(a, b, c); }
  static Register add(Register a, Register b) { return _mm512_add_ps(a, b); }
  static Register subtract(Register a, Register b) { return _mm512_sub_ps(a, b); }
  static void store(float* p, Register v) { _mm512_storeu_ps(p, v); }
};
struct WideF64 {
  using Number = double;
  using Register = __m512d;
  static constexpr int kWidth = 8;
  static Register zero() { return _mm512_setzero_pd(); }
  static Register load(const double* p) { return _mm512_loadu_pd(p); }
  static Register broadcast(const double* p) { return _mm512_set1_pd(*p); }
  static Register multiply_add(Register a, Register b, Register c) { return _mm512_fmadd_pd(a, b, c); }
  static Register add(Register a, Register b) { return _mm512_add_pd(a, b); }
  static Register subtract(Register a, Register b) { return _mm512_sub_pd(a, b); }
  static void store(double* p, Register v) { _mm512_storeu_pd(p, v); }
};
using WideVectorF32 = WideF32;
constexpr int kPanelVectorsF32 = 3;
using PanelUpdateF32 = PanelUpdate<WideF32, kPanelVectorsF32, 8>;
using PanelUpdateF64 = PanelUpdate<WideF64, 3, 8>;
#elif defined(__AVX2__)
struct WideF32 {
  using Number = float;
  using Register = __m256;
  static constexpr int kWidth = 8;
  static Register zero() { return _mm256_setzero_ps(); }
  static Register load(const float* p) { return _mm256_loadu_ps(p); }
  static Register broadcast(const float* p) { return _mm256_broadcast_ss(p); }
  static Register multiply_add(Register a, Register b, Register c) { return _mm256_fmadd_ps(a, b, c); }
  static Register add(Register a, Register b) { return _mm256_add_ps(a, b); }
  static Register subtract(Register a, Register b) { return _mm256_sub_ps(a, b); }
  static void store(float* p, Register v) { _mm256_storeu_ps(p, v); }
};
struct WideF64 {
  using Number = double;
  using Register = __m256d;
  static constexpr int kWidth = 4;
  static Register zero() { return _mm256_setzero_pd(); }
  static Register load(const double* p) { return _mm256_loadu_pd(p); }
  static Register broadcast(const double* p) { return _mm256_broadcast_sd(p); }
  static Register multiply_add(Register a, Register b, Register c) { return _mm256_fmadd_pd(a, b, c); }
  static Register add(Register a, Register b) { return _mm256_add_pd(a, b); }
  static Register subtract(Register a, Register b) { return _mm256_sub_pd(a, b); }
  static void store(double* p, Register v) { _mm256_storeu_pd(p, v); }
};
using WideVectorF32 = WideF32;
constexpr int kPanelVectorsF32 = 3;
using PanelUpdateF32 = PanelUpdate<WideF32, kPanelVectorsF32, 4>;
using PanelUpdateF64 = PanelUpdate<WideF64, 3, 4>;
#elif TERSOR_NEON
using WideVectorF32 = NeonF32;
constexpr int kPanelVectorsF32 = 3;
using PanelUpdateF32 = PanelUpdate<NeonF32, kPanelVectorsF32, 8>;
using PanelUpdateF64 = PanelUpdate<NeonF64, 4, 4>;
#else
// One number at a time; the compiler makes vectors of the lanes.
template <typename T>
struct Narrow {
  using Number = T;
  using Register = T;
  static constexpr int kWidth = 1;
  static T zero() { return 0; }
  static T load(const T* p) { return *p; }
  static T broadcast(const T* p) { return *p; }
  static T multiply_add(T a, T b, T c) { return a * b + c; }
  static T add(T a, T b) { return a + b; }
  static T subtract(T a, T b) { return a - b; }
  static void store(T* p, T v) { *p = v; }
};
using WideVectorF32 = Narrow<float>;
constexpr int kPanelVectorsF32 = 8;
using PanelUpdateF32 = PanelUpdate<Narrow<float>, kPanelVectorsF32, 4>;
using PanelUpdateF64 = PanelUpdate<Narrow<double>, 8, 4>;
#endif

}  // namespace
}  // namespace tersor::cpu
