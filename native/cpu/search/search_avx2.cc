#include <immintrin.h>

#include <cstring>

#include "cpu/search/search_tile.h"

namespace tersor::cpu {
namespace {

__m256i load_bytes(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

__m256i spread_word(const uint8_t* p) {
  int32_t word;
  std::memcpy(&word, p, sizeof word);
  return _mm256_set1_epi32(word);
}

// Sums of four products; pairs must fit 16 bits.
__m256i dot(__m256i sum, __m256i unsigned_bytes, __m256i signed_bytes) {
  const __m256i pairs = _mm256_maddubs_epi16(unsigned_bytes, signed_bytes);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

struct Floats {
  using Sum = __m256;
  using Rows = __m256;
  using Word = __m256;
  static constexpr int kVectorBytes = 32, kWordBytes = 4;

  static Sum start(const int32_t*, int64_t) { return _mm256_setzero_ps(); }
  static Rows load(const uint8_t* p) { return _mm256_loadu_ps(reinterpret_cast<const float*>(p)); }
  static Word spread(const uint8_t* p) { return _mm256_set1_ps(*reinterpret_cast<const float*>(p)); }
  static Sum add(Sum sum, Rows rows, Word word) { return _mm256_fmadd_ps(rows, word, sum); }
  static uint32_t finish(Sum sum, const uint8_t* terms, float factor, float limit, float* to) {
    const Sum score = _mm256_sub_ps(_mm256_mul_ps(sum, _mm256_set1_ps(factor)),
                                    _mm256_loadu_ps(reinterpret_cast<const float*>(terms)));
    _mm256_storeu_ps(to, score);
    const __m256 above = _mm256_cmp_ps(score, _mm256_set1_ps(limit), _CMP_NLE_UQ);
    return static_cast<uint32_t>(_mm256_movemask_ps(above));
  }
};

struct Integers {
  using Sum = __m256i;
  static constexpr int kVectorBytes = 32;

  static uint32_t finish(Sum sum, const uint8_t* terms, int32_t factor, int32_t limit, int32_t* to) {
    const Sum score = _mm256_sub_epi32(_mm256_mullo_epi32(sum, _mm256_set1_epi32(factor)), load_bytes(terms));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), score);
    const __m256i above = _mm256_cmpgt_epi32(score, _mm256_set1_epi32(limit));
    return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(above)));
  }
};

// |row| * (query with the row's sign): two products of at most 127^2 fit 16 bits.
struct Int8 : Integers {
  struct Rows {
    __m256i bytes, magnitudes;
  };
  using Word = __m256i;
  static constexpr int kWordBytes = 4;

  static Sum start(const int32_t*, int64_t) { return _mm256_setzero_si256(); }
  static Rows load(const uint8_t* p) { return {load_bytes(p), _mm256_abs_epi8(load_bytes(p))}; }
  static Word spread(const uint8_t* p) { return spread_word(p); }
  static Sum add(Sum sum, Rows rows, Word word) {
    return dot(sum, rows.magnitudes, _mm256_sign_epi8(word, rows.bytes));
  }
};

struct Int4 : Integers {
  struct Rows {
    __m256i low, high;
  };
  using Word = Rows;
  static constexpr int kWordBytes = 8;

  static Sum start(const int32_t* sums, int64_t q) { return _mm256_set1_epi32(-8 * sums[q]); }
  static Rows load(const uint8_t* p) {
    const __m256i bytes = load_bytes(p), nibble = _mm256_set1_epi8(15);
    return {_mm256_and_si256(bytes, nibble), _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble)};
  }
  static Word spread(const uint8_t* p) { return {spread_word(p), spread_word(p + 4)}; }
  static Sum add(Sum sum, Rows rows, Word word) { return dot(dot(sum, rows.low, word.low), rows.high, word.high); }
};

// Bits that differ, counted by nibbles.
struct Binary : Integers {
  using Rows = __m256i;
  using Word = __m256i;
  static constexpr int kWordBytes = 4;

  static Sum start(const int32_t*, int64_t) { return _mm256_setzero_si256(); }
  static Rows load(const uint8_t* p) { return load_bytes(p); }
  static Word spread(const uint8_t* p) { return spread_word(p); }
  static Sum add(Sum sum, Rows rows, Word word) {
    const __m256i counts = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m256i nibble = _mm256_set1_epi8(15), bits = _mm256_xor_si256(rows, word);
    const __m256i low = _mm256_shuffle_epi8(counts, _mm256_and_si256(bits, nibble));
    const __m256i high = _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi16(bits, 4), nibble));
    return dot(sum, _mm256_add_epi8(low, high), _mm256_set1_epi8(1));
  }
};

}  // namespace

void search_f32_avx2(const uint8_t* tile, int64_t steps, const SearchQueries<float>& queries, float factor,
                     float* scores, uint32_t* above) {
  search_tile<Floats, 2>(tile, steps, queries, factor, scores, above);
}
void search_int8_avx2(const uint8_t* tile, int64_t steps, const SearchQueries<int32_t>& queries, int32_t factor,
                      int32_t* scores, uint32_t* above) {
  search_tile<Int8, 1>(tile, steps, queries, factor, scores, above);
}
void search_int4_avx2(const uint8_t* tile, int64_t steps, const SearchQueries<int32_t>& queries, int32_t factor,
                      int32_t* scores, uint32_t* above) {
  search_tile<Int4, 1>(tile, steps, queries, factor, scores, above);
}
void search_binary_avx2(const uint8_t* tile, int64_t steps, const SearchQueries<int32_t>& queries, int32_t factor,
                        int32_t* scores, uint32_t* above) {
  search_tile<Binary, 1>(tile, steps, queries, factor, scores, above);
}

}  // namespace tersor::cpu
