#include <immintrin.h>

#include "cpu/product_codes/product_search.h"

namespace tersor::cpu {
namespace {

__m256i table_at(const uint8_t* table) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
}

// x >= limit in each lane of 16 bits, unsigned.
__m256i at_least(__m256i x, __m256i limit) { return _mm256_cmpeq_epi16(_mm256_max_epu16(x, limit), x); }

// Of half a tile: 32 bytes of every 64.
uint32_t half_tile(const uint8_t* tile, int64_t subspaces, const uint8_t* tables, __m256i limit) {
  const __m256i low_byte = _mm256_set1_epi16(0xff), nibble = _mm256_set1_epi8(15);
  __m256i even = _mm256_setzero_si256(), odd = even;
  for (int64_t s = 0; s < subspaces; s += 2, tile += 64, tables += 32) {
    const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tile));
    const __m256i first = _mm256_shuffle_epi8(table_at(tables), _mm256_and_si256(codes, nibble));
    const __m256i second =
        _mm256_shuffle_epi8(table_at(tables + 16), _mm256_and_si256(_mm256_srli_epi16(codes, 4), nibble));
    even = _mm256_adds_epu16(even,
                             _mm256_add_epi16(_mm256_and_si256(first, low_byte), _mm256_and_si256(second, low_byte)));
    odd = _mm256_adds_epu16(odd, _mm256_add_epi16(_mm256_srli_epi16(first, 8), _mm256_srli_epi16(second, 8)));
  }
  const __m256i rows = _mm256_blendv_epi8(at_least(odd, limit), at_least(even, limit), low_byte);
  return static_cast<uint32_t>(_mm256_movemask_epi8(rows));
}

}  // namespace

uint64_t product_filter4_avx2(const uint8_t* tile, int64_t subspaces, const uint8_t* tables, uint16_t least) {
  const __m256i limit = _mm256_set1_epi16(static_cast<int16_t>(least));
  return half_tile(tile, subspaces, tables, limit) |
         static_cast<uint64_t>(half_tile(tile + 32, subspaces, tables, limit)) << 32;
}

}  // namespace tersor::cpu
