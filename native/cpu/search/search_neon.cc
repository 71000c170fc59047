#include "cpu/search/search_neon.h"

namespace tersor::cpu {
namespace {

struct Floats {
  using Sum = float32x4_t;
  using Rows = float32x4_t;
  using Word = float32x4_t;
  static constexpr int kVectorBytes = 16, kWordBytes = 4;

  static Sum start(const int32_t*, int64_t) { return vdupq_n_f32(0.0f); }
  static Rows load(const uint8_t* p) { return vreinterpretq_f32_u8(vld1q_u8(p)); }
  static Word spread(const uint8_t* p) { return vld1q_dup_f32(reinterpret_cast<const float*>(p)); }
  static Sum add(Sum sum, Rows rows, Word word) { return vfmaq_f32(sum, rows, word); }
  static uint32_t finish(Sum sum, const uint8_t* terms, float factor, float limit, float* to) {
    const Sum score = vsubq_f32(vmulq_n_f32(sum, factor), load(terms));
    vst1q_f32(to, score);
    // NaN counts as above.
    return bits_of(vmvnq_u32(vcleq_f32(score, vdupq_n_f32(limit))));
  }
};

// Sums of eight products, of which every two fit 16 bits, by fours.
int32x4_t add_fours(int32x4_t sum, int16x8_t low, int16x8_t high) { return vpadalq_s16(sum, vpaddq_s16(low, high)); }

// Two products of at most 127^2 fit 16 bits.
struct Int8 : NeonInt8 {
  static Sum add(Sum sum, Rows rows, Word word) {
    return add_fours(sum, vmull_s8(vget_low_s8(rows), vget_low_s8(word)), vmull_high_s8(rows, word));
  }
};

struct Int4 : NeonInt4 {
  static Sum add(Sum sum, Rows rows, Word word) {
    const int16x8_t first = vmull_s8(vget_low_s8(rows.low), vget_low_s8(word.low));
    const int16x8_t second = vmull_high_s8(rows.low, word.low);
    return add_fours(sum, vmlal_s8(first, vget_low_s8(rows.high), vget_low_s8(word.high)),
                     vmlal_high_s8(second, rows.high, word.high));
  }
};

struct Binary : NeonBinary {
  static Sum add(Sum sum, Rows rows, Word word) {
    const uint16x8_t pairs = vpaddlq_u8(vcntq_u8(veorq_u8(rows, word)));
    return vreinterpretq_s32_u32(vpadalq_u16(vreinterpretq_u32_s32(sum), pairs));
  }
};

}  // namespace

void search_f32_neon(const uint8_t* tile, int64_t steps, const SearchQueries<float>& queries, float factor,
                     float* scores, uint32_t* above) {
  search_tile<Floats, 2>(tile, steps, queries, factor, scores, above);
}
void search_int8_neon(const uint8_t* tile, int64_t steps, const SearchQueries<int32_t>& queries, int32_t factor,
                      int32_t* scores, uint32_t* above) {
  search_tile<Int8, 2>(tile, steps, queries, factor, scores, above);
}
void search_int4_neon(const uint8_t* tile, int64_t steps, const SearchQueries<int32_t>& queries, int32_t factor,
                      int32_t* scores, uint32_t* above) {
  search_tile<Int4, 1>(tile, steps, queries, factor, scores, above);
}
void search_binary_neon(const uint8_t* tile, int64_t steps, const SearchQueries<int32_t>& queries, int32_t factor,
                        int32_t* scores, uint32_t* above) {
  search_tile<Binary, 2>(tile, steps, queries, factor, scores, above);
}

}  // namespace tersor::cpu
