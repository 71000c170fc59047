#include <immintrin.h>

#include "cpu/product_codes/product_search.h"

namespace tersor::cpu {
namespace {

__m512i table_at(const uint8_t* table) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
}

}  // namespace

uint64_t product_filter4_avx512(const uint8_t* tile, int64_t subspaces, const uint8_t* tables, uint16_t least) {
  const __m512i low_byte = _mm512_set1_epi16(0xff), nibble = _mm512_set1_epi8(15);
  __m512i even = _mm512_setzero_si512(), odd = even;
  for (int64_t s = 0; s < subspaces; s += 2, tile += 64, tables += 32) {
    const __m512i codes = _mm512_loadu_si512(tile);
    const __m512i first = _mm512_shuffle_epi8(table_at(tables), _mm512_and_si512(codes, nibble));
    const __m512i second =
        _mm512_shuffle_epi8(table_at(tables + 16), _mm512_and_si512(_mm512_srli_epi16(codes, 4), nibble));
    even = _mm512_adds_epu16(even,
                             _mm512_add_epi16(_mm512_and_si512(first, low_byte), _mm512_and_si512(second, low_byte)));
    odd = _mm512_adds_epu16(odd, _mm512_add_epi16(_mm512_srli_epi16(first, 8), _mm512_srli_epi16(second, 8)));
  }
  const __m512i limit = _mm512_set1_epi16(static_cast<int16_t>(least));
  const __mmask32 even_rows = _mm512_cmpge_epu16_mask(even, limit), odd_rows = _mm512_cmpge_epu16_mask(odd, limit);
  if ((even_rows | odd_rows) == 0) return 0;
  constexpr __mmask64 kOdd = 0xaaaaaaaaaaaaaaaa;
  return _mm512_movepi8_mask(_mm512_mask_blend_epi8(kOdd, _mm512_movm_epi16(even_rows), _mm512_movm_epi16(odd_rows)));
}

}  // namespace tersor::cpu
