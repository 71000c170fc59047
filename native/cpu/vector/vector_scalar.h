// The vectors that loops are written over, for machines without a wider set: four lanes, which every compiler can map
// to what the baseline has (SSE2, NEON) or take apart.
//
// Each vector_*.h has one type with these members; loops take it as a template parameter and live in anonymous
// namespaces, so that no copy compiled with ISA flags can be linked into baseline code. Arithmetic and comparisons are
// the compiler's own operators; a comparison gives Integers of all ones or zeros, and `mask ? a : b` selects.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace tersor::cpu {
namespace {

struct BaselineVector {
  static constexpr int kWidth = 4;
  static constexpr int kSmallRows = 4;  // of a tile of two registers a row: as many as there are registers for
  using Register [[gnu::vector_size(16)]] = float;
  using Integers [[gnu::vector_size(16)]] = int32_t;

  static Register all(float value) { return Register{value, value, value, value}; }
  static Register load(const float* p) {
    Register v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  // Lanes from `count` on are 0.
  static Register load(const float* p, int count) {
    Register v = all(0.0f);
    std::memcpy(&v, p, sizeof(float) * static_cast<size_t>(count));
    return v;
  }
  static void store(float* p, Register v) { std::memcpy(p, &v, sizeof v); }
  static void store(float* p, Register v, int count) { std::memcpy(p, &v, sizeof(float) * static_cast<size_t>(count)); }

  static Register multiply_add(Register a, Register b, Register c) { return a * b + c; }
  // b where either is NaN.
  static Register max(Register a, Register b) { return a > b ? a : b; }
  static Register sqrt(Register v) {
    return Register{std::sqrt(v[0]), std::sqrt(v[1]), std::sqrt(v[2]), std::sqrt(v[3])};
  }
  static constexpr int kSquare = 4;
  // to[j * to_stride + i] = from[i * from_stride + j] for i, j < kSquare.
  static void transpose(const float* from, int64_t from_stride, float* to, int64_t to_stride) {
    for (int i = 0; i < kSquare; ++i) {
      for (int j = 0; j < kSquare; ++j) to[j * to_stride + i] = from[i * from_stride + j];
    }
  }

  static float sum(Register v) { return (v[0] + v[2]) + (v[1] + v[3]); }
};

}  // namespace
}  // namespace tersor::cpu
