#include "cpu/search/search_neon.h"

namespace tersor::cpu {
namespace {

struct Int8 : NeonInt8 {
  static Sum add(Sum sum, Rows rows, Word word) { return vdotq_s32(sum, rows, word); }
};

struct Int4 : NeonInt4 {
  static Sum add(Sum sum, Rows rows, Word word) {
    return vdotq_s32(vdotq_s32(sum, rows.low, word.low), rows.high, word.high);
  }
};

struct Binary : NeonBinary {
  static Sum add(Sum sum, Rows rows, Word word) {
    const uint8x16_t counts = vcntq_u8(veorq_u8(rows, word));
    return vreinterpretq_s32_u32(vdotq_u32(vreinterpretq_u32_s32(sum), counts, vdupq_n_u8(1)));
  }
};

}  // namespace

void search_int8_neondotprod(const uint8_t* tile, int64_t steps, const SearchQueries<int32_t>& queries, int32_t factor,
                             int32_t* scores, uint32_t* above) {
  search_tile<Int8, 2>(tile, steps, queries, factor, scores, above);
}
void search_int4_neondotprod(const uint8_t* tile, int64_t steps, const SearchQueries<int32_t>& queries, int32_t factor,
                             int32_t* scores, uint32_t* above) {
  search_tile<Int4, 1>(tile, steps, queries, factor, scores, above);
}
void search_binary_neondotprod(const uint8_t* tile, int64_t steps, const SearchQueries<int32_t>& queries,
                               int32_t factor, int32_t* scores, uint32_t* above) {
  search_tile<Binary, 2>(tile, steps, queries, factor, scores, above);
}

}  // namespace tersor::cpu
