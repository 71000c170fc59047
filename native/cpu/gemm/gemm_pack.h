// Packing of f32 panels by squares turned in registers. In an anonymous namespace for the reason given in gemm_tile.h.
//
// Vector brings: Register, kSquare (of lanes, all that a register has), all(x), load(p), store(p, v), turn(rows).
#pragma once

#include <cstdint>
#include <cstring>

namespace tersor::cpu {
namespace {

template <int kWidth>
void pack_contiguous_lanes(const float* source, int64_t k_stride, int lanes, int64_t k, float* panel) {
  if (lanes == kWidth) {
    for (int64_t p = 0; p < k; ++p) std::memcpy(panel + p * kWidth, source + p * k_stride, sizeof(float) * kWidth);
    return;
  }
  for (int64_t p = 0; p < k; ++p) {
    std::memcpy(panel + p * kWidth, source + p * k_stride, sizeof(float) * static_cast<size_t>(lanes));
    std::memset(panel + p * kWidth + lanes, 0, sizeof(float) * static_cast<size_t>(kWidth - lanes));
  }
}

// A square of lanes at a time. When kWidth is not a multiple of it, each store runs over into the next k, which is
// written after it.
template <typename Vector, int kWidth>
void pack_contiguous_k(const float* source, int64_t lane_stride, int lanes, int64_t k, float* panel) {
  constexpr int kSquare = Vector::kSquare;
  for (int lane = 0; lane < kWidth; lane += kSquare) {
    const float* from = source + lane * lane_stride;
    const int rest = lanes - lane;
    const int count = rest < 0 ? 0 : rest < kSquare ? rest : kSquare;
    int64_t p = 0;
    for (; p + kSquare <= k; p += kSquare) {
      typename Vector::Register rows[kSquare];
#pragma GCC unroll 8
      for (int i = 0; i < kSquare; ++i) {
        rows[i] = i < count ? Vector::load(from + i * lane_stride + p) : Vector::all(0.0f);
      }
      Vector::turn(rows);
#pragma GCC unroll 8
      for (int i = 0; i < kSquare; ++i) Vector::store(panel + (p + i) * kWidth + lane, rows[i]);
    }
    for (; p < k; ++p) {
      for (int i = 0; i < kSquare && lane + i < kWidth; ++i) {
        panel[p * kWidth + lane + i] = i < count ? from[i * lane_stride + p] : 0.0f;
      }
    }
  }
}

template <typename Vector, int kWidth>
void pack_panel(const float* source, int64_t lane_stride, int64_t k_stride, int lanes, int64_t k, float* panel) {
  static_assert(kWidth < Vector::kSquare || kWidth % Vector::kSquare == 0,
                "a store may run over into the next k only when it is the row's only one");
  if (lane_stride == 1) {
    pack_contiguous_lanes<kWidth>(source, k_stride, lanes, k, panel);
  } else {
    pack_contiguous_k<Vector, kWidth>(source, lane_stride, lanes, k, panel);
  }
}

}  // namespace
}  // namespace tersor::cpu
