#include <immintrin.h>

#include <cstring>

#include "cpu/search/search_tile.h"

namespace tersor::cpu {
namespace {

// By hand: gcc 12 copies and spills the accumulators of _mm512_dpbusd_epi32.
__m512i dot(__m512i sum, __m512i unsigned_bytes, __m512i signed_bytes) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(unsigned_bytes), "v"(signed_bytes));
  return sum;
}

__m512i spread_word(const uint8_t* p) {
  int32_t word;
  std::memcpy(&word, p, sizeof word);
  return _mm512_set1_epi32(word);
}

struct Integers {
  using Sum = __m512i;
  static constexpr int kVectorBytes = 64;

  static uint32_t finish(Sum sum, const uint8_t* terms, int32_t factor, int32_t limit, int32_t* to) {
    const Sum score = _mm512_sub_epi32(_mm512_mullo_epi32(sum, _mm512_set1_epi32(factor)), _mm512_loadu_si512(terms));
    _mm512_storeu_si512(to, score);
    return _mm512_cmpgt_epi32_mask(score, _mm512_set1_epi32(limit));
  }
};

// The unit multiplies u8 by i8: 128 is added to the rows, and 128 * (sum of the query) taken off the sum.
struct Int8 : Integers {
  using Rows = __m512i;
  using Word = __m512i;
  static constexpr int kWordBytes = 4;

  static Sum start(const int32_t* sums, int64_t q) { return _mm512_set1_epi32(-128 * sums[q]); }
  static Rows load(const uint8_t* p) {
    return _mm512_xor_si512(_mm512_loadu_si512(p), _mm512_set1_epi8(static_cast<char>(0x80)));
  }
  static Word spread(const uint8_t* p) { return spread_word(p); }
  static Sum add(Sum sum, Rows rows, Word word) { return dot(sum, rows, word); }
};

struct Int4 : Integers {
  struct Rows {
    __m512i low, high;
  };
  using Word = Rows;
  static constexpr int kWordBytes = 8;

  static Sum start(const int32_t* sums, int64_t q) { return _mm512_set1_epi32(-8 * sums[q]); }
  static Rows load(const uint8_t* p) {
    const __m512i bytes = _mm512_loadu_si512(p), nibble = _mm512_set1_epi8(15);
    return {_mm512_and_si512(bytes, nibble), _mm512_and_si512(_mm512_srli_epi16(bytes, 4), nibble)};
  }
  static Word spread(const uint8_t* p) { return {spread_word(p), spread_word(p + 4)}; }
  static Sum add(Sum sum, Rows rows, Word word) { return dot(dot(sum, rows.low, word.low), rows.high, word.high); }
};

// Bits that differ, counted by nibbles.
struct Binary : Integers {
  using Rows = __m512i;
  using Word = __m512i;
  static constexpr int kWordBytes = 4;

  static Sum start(const int32_t*, int64_t) { return _mm512_setzero_si512(); }
  static Rows load(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static Word spread(const uint8_t* p) { return spread_word(p); }
  static Sum add(Sum sum, Rows rows, Word word) {
    const __m512i counts = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m512i nibble = _mm512_set1_epi8(15), bits = _mm512_xor_si512(rows, word);
    const __m512i low = _mm512_shuffle_epi8(counts, _mm512_and_si512(bits, nibble));
    const __m512i high = _mm512_shuffle_epi8(counts, _mm512_and_si512(_mm512_srli_epi16(bits, 4), nibble));
    return dot(sum, _mm512_add_epi8(low, high), _mm512_set1_epi8(1));
  }
};

}  // namespace

void search_int8_avx512vnni(const uint8_t* tile, int64_t steps, const SearchQueries<int32_t>& queries, int32_t factor,
                            int32_t* scores, uint32_t* above) {
  search_tile<Int8, 8>(tile, steps, queries, factor, scores, above);
}
void search_int4_avx512vnni(const uint8_t* tile, int64_t steps, const SearchQueries<int32_t>& queries, int32_t factor,
                            int32_t* scores, uint32_t* above) {
  search_tile<Int4, 8>(tile, steps, queries, factor, scores, above);
}
void search_binary_avx512vnni(const uint8_t* tile, int64_t steps, const SearchQueries<int32_t>& queries, int32_t factor,
                              int32_t* scores, uint32_t* above) {
  search_tile<Binary, 8>(tile, steps, queries, factor, scores, above);
}

}  // namespace tersor::cpu
