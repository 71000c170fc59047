// The masked outer product over the pattern of a CSR weight, written once over a vector type; see csr_tile.h.
//
// Vector brings, beside what it brings there: multiply(a, b), add_sums(to, a, b, c, d) (of each, over its lanes, to
// four numbers in memory).
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/sparse/csr_kernels.h"

namespace tersor::cpu {
namespace {

// Four rows of a group at a time: their gradients stay in registers while the slots stream past.
template <typename Vector, int kPlanes>
void csr_sddmm_group(const CsrGroup& group, const uint8_t* slots, const float* x, int64_t plane_words, const float* dy,
                     int64_t row_words, float* sums) {
  constexpr int kParts = kCsrLanes / Vector::kLanes;
  for (int first = 0; first < kCsrLanes; first += 4) {
    typename Vector::Register gradient[4][kPlanes][kParts];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const float* row = dy + group.rows[first + i] * row_words;
#pragma GCC unroll 4
      for (int j = 0; j < kPlanes; ++j) {
#pragma GCC unroll 4
        for (int p = 0; p < kParts; ++p) gradient[i][j][p] = Vector::load(row + j * kCsrLanes + p * Vector::kLanes);
      }
    }
    const uint8_t* slot = slots + 2 * first;
    float* sum = sums + first;
    for (int64_t s = 0; s < group.slots; ++s, slot += kCsrSlotBytes, sum += kCsrLanes) {
      uint64_t offsets;
      std::memcpy(&offsets, slot, sizeof offsets);
      __asm__("" : "+r"(offsets));  // one load of four offsets, not four loads
      typename Vector::Register product[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const auto offset = static_cast<uint16_t>(offsets >> (16 * i));
        const float* row = reinterpret_cast<const float*>(reinterpret_cast<const uint8_t*>(x) + offset);
        product[i] = Vector::multiply(gradient[i][0][0], Vector::load(row));
#pragma GCC unroll 4
        for (int j = 0; j < kPlanes; ++j) {
#pragma GCC unroll 4
          for (int p = j == 0 ? 1 : 0; p < kParts; ++p) {
            const auto lanes = Vector::load(row + j * plane_words + p * Vector::kLanes);
            product[i] = Vector::multiply_add(product[i], lanes, gradient[i][j][p]);
          }
        }
      }
      Vector::add_sums(sum, product[0], product[1], product[2], product[3]);
    }
  }
}

template <typename Vector>
void csr_sddmm_block(const CsrGroup* groups, int64_t count, const uint8_t* data, const float* x, int64_t planes,
                     int64_t plane_words, const float* dy, int64_t first_slot_at, float* sums) {
  constexpr int kMostPlanes = Vector::kSums * Vector::kLanes / (4 * kCsrLanes);
  const int64_t row_words = planes * kCsrLanes;
  for (const CsrGroup* group = groups; group != groups + count; ++group) {
    float* group_sums = sums + (group->slots_at - first_slot_at) / kCsrSlotBytes * kCsrLanes;
    int64_t plane = 0;
    const auto take = [&]<int kPlanes>() {
      for (; planes - plane >= kPlanes; plane += kPlanes) {
        csr_sddmm_group<Vector, kPlanes>(*group, data + group->slots_at, x + plane * plane_words, plane_words,
                                         dy + plane * kCsrLanes, row_words, group_sums);
      }
    };
    if constexpr (kMostPlanes >= 4) take.template operator()<4>();
    if constexpr (kMostPlanes >= 2) take.template operator()<2>();
    take.template operator()<1>();
  }
}

}  // namespace
}  // namespace tersor::cpu
