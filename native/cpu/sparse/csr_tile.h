// The sums of a CSR product, written once over a vector type; anonymous, so that every ISA file has its own copy.
//
// Vector brings: Word, Register, kLanes, kSums, load(p), store(p, r), load_quad(p) (four words, in every 128 bits),
// splat(quad, i) (one of them everywhere), multiply_add(sum, x, w), gather(x, offsets) (x[offset / kCsrWordBytes]).
//
// Slots brings: kBytes of a slot, kLines (of the cache, at most), part(slot, p) (the values of its p-th kLanes rows);
// and, made of up to kTogether slots that follow each other, words(s) (the values of all rows of the s-th).
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "cpu/sparse/csr_kernels.h"

namespace tersor::cpu {
namespace {

constexpr int64_t kPrefetchBytes = 2048;  // ahead in the slots

template <typename Slots>
void prefetch_slot(const uint8_t* slot) {
  for (int line = 0; line < Slots::kLines; ++line) __builtin_prefetch(slot + kPrefetchBytes + line * 64);
}

// Slots whose values are words.
template <typename Vector>
struct CsrWordSlots {
  using Word = typename Vector::Word;
  static constexpr int64_t kBytes = kCsrSlotBytes, kTogether = int64_t{1} << 32;
  static constexpr int kLines = 2;

  static auto part(const uint8_t* slot, int p) {
    return Vector::load(reinterpret_cast<const Word*>(slot + kCsrSlotValues) + p * Vector::kLanes);
  }

  CsrWordSlots(const uint8_t* slots, int64_t) : first(slots + kCsrSlotValues) {}
  const Word* words(int64_t s) const { return reinterpret_cast<const Word*>(first + s * kBytes); }

  const uint8_t* first;
};

// What Vector::gather does, where no instruction does it.
template <typename Word, int kCount>
void gather_words(const Word* x, const uint8_t* offsets, Word (&words)[kCount]) {
  for (int i = 0; i < kCount; ++i) {
    uint16_t offset;
    std::memcpy(&offset, offsets + 2 * i, sizeof offset);
    words[i] = x[offset / kCsrWordBytes];
  }
}

// What Vector::splat takes the values of four rows from. One that is used once may as well come from memory, if the
// multiplication takes it there: that saves spreading it.
template <typename Vector, int kPlanes>
auto quad_of(const typename Vector::Word* words) {
  if constexpr (kPlanes == 1 && requires { Vector::splat(words, 0); }) {
    return words;
  } else {
    return Vector::load_quad(words);
  }
}

// So many rows of a group at a time that their sums fill Vector::kSums registers and none waits for the one before.
// The sums of a row are `row_words` from the next one's.
template <typename Vector, typename Slots, int kPlanes>
void csr_group(const CsrGroup& group, const uint8_t* slots, const typename Vector::Word* x, int64_t plane_words,
               typename Vector::Word* sums, int64_t row_words) {
  using Word = typename Vector::Word;
  constexpr int kParts = kCsrLanes / Vector::kLanes;
  constexpr int kRows = Vector::kSums / (kPlanes * kParts);
  static_assert(kRows % 4 == 0 && kCsrLanes % kRows == 0);
  for (int first = 0; first < kCsrLanes; first += kRows) {
    typename Vector::Register sum[kRows][kPlanes][kParts];
    const auto row_of = [&](int i) { return sums + group.rows[first + i] * row_words; };
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (int j = 0; j < kPlanes; ++j) {
#pragma GCC unroll 4
        for (int p = 0; p < kParts; ++p) sum[i][j][p] = Vector::load(row_of(i) + j * kCsrLanes + p * Vector::kLanes);
      }
    }
    const uint8_t* slot = slots;
    for (int64_t left = group.slots; left > 0; left -= Slots::kTogether) {
      const int64_t together = std::min(left, Slots::kTogether);
      const Slots values(slot, together);
      for (int64_t s = 0; s < together; ++s, slot += Slots::kBytes) {
        prefetch_slot<Slots>(slot);
        const Word* words = values.words(s) + first;
#pragma GCC unroll 4
        for (int q = 0; q < kRows; q += 4) {
          uint64_t offsets;
          std::memcpy(&offsets, slot + 2 * (first + q), sizeof offsets);
          __asm__("" : "+r"(offsets));  // one load of four offsets, not four loads
          const auto quad = quad_of<Vector, kPlanes>(words + q);
#pragma GCC unroll 4
          for (int i = 0; i < 4; ++i) {
            const auto offset = static_cast<uint16_t>(offsets >> (16 * i));
            const Word* row = reinterpret_cast<const Word*>(reinterpret_cast<const uint8_t*>(x) + offset);
            const auto weight = Vector::splat(quad, i);
#pragma GCC unroll 4
            for (int j = 0; j < kPlanes; ++j) {
#pragma GCC unroll 4
              for (int p = 0; p < kParts; ++p) {
                const auto lanes = Vector::load(row + j * plane_words + p * Vector::kLanes);
                sum[q + i][j][p] = Vector::multiply_add(sum[q + i][j][p], lanes, weight);
              }
            }
          }
        }
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (int j = 0; j < kPlanes; ++j) {
#pragma GCC unroll 4
        for (int p = 0; p < kParts; ++p) Vector::store(row_of(i) + j * kCsrLanes + p * Vector::kLanes, sum[i][j][p]);
      }
    }
  }
}

// One activation: the group's rows are the lanes, and each gathers its own word of x.
template <typename Vector, typename Slots>
void csr_group_single(const CsrGroup& group, const uint8_t* slots, const typename Vector::Word* x,
                      typename Vector::Word* sums) {
  using Word = typename Vector::Word;
  constexpr int kParts = kCsrLanes / Vector::kLanes;
  alignas(64) Word lanes[kCsrLanes];
  for (int i = 0; i < kCsrLanes; ++i) lanes[i] = sums[group.rows[i]];
  typename Vector::Register sum[kParts];
#pragma GCC unroll 4
  for (int p = 0; p < kParts; ++p) sum[p] = Vector::load(lanes + p * Vector::kLanes);
  const uint8_t* slot = slots;
  for (int64_t s = 0; s < group.slots; ++s, slot += Slots::kBytes) {
    prefetch_slot<Slots>(slot);
#pragma GCC unroll 4
    for (int p = 0; p < kParts; ++p) {
      const auto words = Vector::gather(x, slot + 2 * p * Vector::kLanes);
      sum[p] = Vector::multiply_add(sum[p], words, Slots::part(slot, p));
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < kParts; ++p) Vector::store(lanes + p * Vector::kLanes, sum[p]);
  for (int i = 0; i < kCsrLanes; ++i) sums[group.rows[i]] = lanes[i];
}

// As many planes at a time as leave four rows: one load of offsets.
template <typename Vector, typename Slots = CsrWordSlots<Vector>>
void csr_block(const CsrGroup* groups, int64_t count, const uint8_t* data, const typename Vector::Word* x,
               int64_t planes, int64_t plane_words, typename Vector::Word* sums) {
  constexpr int kMostPlanes = Vector::kSums * Vector::kLanes / (4 * kCsrLanes);
  const int64_t row_words = planes * kCsrLanes;
  for (const CsrGroup* group = groups; group != groups + count; ++group) {
    const uint8_t* slots = data + group->slots_at;
    if (planes == 0) {
      csr_group_single<Vector, Slots>(*group, slots, x, sums);
      continue;
    }
    int64_t plane = 0;
    const auto take = [&]<int kPlanes>() {
      for (; planes - plane >= kPlanes; plane += kPlanes) {
        csr_group<Vector, Slots, kPlanes>(*group, slots, x + plane * plane_words, plane_words, sums + plane * kCsrLanes,
                                          row_words);
      }
    };
    if constexpr (kMostPlanes >= 4) take.template operator()<4>();
    if constexpr (kMostPlanes >= 2) take.template operator()<2>();
    take.template operator()<1>();
  }
}

}  // namespace
}  // namespace tersor::cpu
