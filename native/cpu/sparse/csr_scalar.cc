// The reference: the definition, one nonzero after the other.
#include <cstring>

#include "cpu/sparse/csr_kernels.h"

namespace tersor::cpu {
namespace {

// Sixteen words at a time in a compiler's vector: it becomes whatever registers the target has, where a loop over an
// array of float sums would stay one by one.
template <typename Word>
using Words [[gnu::vector_size(kCsrWordBytes)]] = Word;

// Vectors go by reference: how they are passed by value depends on the registers that the target has.
template <typename Sum>
void add_products(Sum& sum, const Sum& x, float w) {
  sum += x * w;
}

// Four products of u8 by i8 in every word.
template <typename Sum>
void add_products(Sum& sum, const Sum& x, uint32_t w) {
  for (int byte = 0; byte < 4; ++byte) {
    sum += (x >> (8 * byte) & 0xffu) * static_cast<uint32_t>(static_cast<int8_t>(w >> (8 * byte)));
  }
}

// Of slots with values of four bits when kShort.
template <typename Word, bool kShort = false>
struct Lane {
  static constexpr int64_t kBytes = kShort ? kCsrShortSlotBytes : kCsrSlotBytes;

  const uint8_t* slots;
  int lane;

  uint16_t offset(int64_t slot) const {
    uint16_t bytes;
    std::memcpy(&bytes, slots + slot * kBytes + 2 * lane, sizeof bytes);
    return bytes;
  }
  Word value(int64_t slot) const {
    const uint8_t* values = slots + slot * kBytes + kCsrSlotValues;
    Word word;
    if constexpr (kShort) {
      uint32_t pairs;
      std::memcpy(&pairs, values + lane % 8 * 4, sizeof pairs);
      // Each byte less 8, without a borrow from the next.
      word = ((pairs >> (lane / 8 * 4) & 0x0f0f0f0fu) + 0x78787878u) ^ 0x80808080u;
    } else {
      std::memcpy(&word, values + 4 * lane, sizeof word);
    }
    return word;
  }
};

template <bool kShort = false, typename Word>
void add_block(const CsrGroup* groups, int64_t count, const uint8_t* data, const Word* x, int64_t planes,
               int64_t plane_words, Word* sums) {
  for (const CsrGroup* group = groups; group != groups + count; ++group) {
    for (int i = 0; i < kCsrLanes; ++i) {
      const Lane<Word, kShort> lane{data + group->slots_at, i};
      if (planes == 0) {
        Word& sum = sums[group->rows[i]];
        for (int64_t s = 0; s < group->slots; ++s) {
          add_products(sum, x[lane.offset(s) / kCsrWordBytes], lane.value(s));
        }
      }
      for (int64_t plane = 0; plane < planes; ++plane) {
        Word* row = sums + (group->rows[i] * planes + plane) * kCsrLanes;
        Words<Word> sum;
        std::memcpy(&sum, row, sizeof sum);
        for (int64_t s = 0; s < group->slots; ++s) {
          Words<Word> words;
          std::memcpy(&words, x + plane * plane_words + lane.offset(s) / sizeof(Word), sizeof words);
          add_products(sum, words, lane.value(s));
        }
        std::memcpy(row, &sum, sizeof sum);
      }
    }
  }
}

}  // namespace

void csr_f32_scalar(const CsrGroup* groups, int64_t count, const uint8_t* data, const float* x, int64_t planes,
                    int64_t plane_words, float* sums) {
  add_block(groups, count, data, x, planes, plane_words, sums);
}

void csr_i8_scalar(const CsrGroup* groups, int64_t count, const uint8_t* data, const int32_t* x, int64_t planes,
                   int64_t plane_words, int32_t* sums) {
  add_block(groups, count, data, reinterpret_cast<const uint32_t*>(x), planes, plane_words,
            reinterpret_cast<uint32_t*>(sums));
}

void csr_i4_scalar(const CsrGroup* groups, int64_t count, const uint8_t* data, const int32_t* x, int64_t planes,
                   int64_t plane_words, int32_t* sums) {
  add_block<true>(groups, count, data, reinterpret_cast<const uint32_t*>(x), planes, plane_words,
                  reinterpret_cast<uint32_t*>(sums));
}

void csr_sddmm_scalar(const CsrGroup* groups, int64_t count, const uint8_t* data, const float* x, int64_t planes,
                      int64_t plane_words, const float* dy, int64_t first_slot_at, float* sums) {
  for (const CsrGroup* group = groups; group != groups + count; ++group) {
    float* group_sums = sums + (group->slots_at - first_slot_at) / kCsrSlotBytes * kCsrLanes;
    for (int i = 0; i < kCsrLanes; ++i) {
      const Lane<float> lane{data + group->slots_at, i};
      const float* row = dy + group->rows[i] * planes * kCsrLanes;
      for (int64_t s = 0; s < group->slots; ++s) {
        Words<float> sum = {};
        for (int64_t plane = 0; plane < planes; ++plane) {
          Words<float> words, gradients;
          std::memcpy(&words, x + plane * plane_words + lane.offset(s) / sizeof(float), sizeof words);
          std::memcpy(&gradients, row + plane * kCsrLanes, sizeof gradients);
          sum += words * gradients;
        }
        for (int64_t j = 0; j < kCsrLanes; ++j) group_sums[s * kCsrLanes + i] += sum[j];
      }
    }
  }
}

}  // namespace tersor::cpu
