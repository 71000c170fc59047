#include <immintrin.h>

#include "cpu/product_codes/product_search.h"

namespace tersor::cpu {

uint64_t product_filter8_avx512vbmi(const uint8_t* tile, int64_t subspaces, const uint8_t* tables, uint16_t least) {
  const __m512i low_byte = _mm512_set1_epi16(0xff);
  __m512i even = _mm512_setzero_si512(), odd = even;
  for (int64_t s = 0; s < subspaces; ++s, tile += 64, tables += 256) {
    const __m512i codes = _mm512_loadu_si512(tile);
    const __m512i below = _mm512_permutex2var_epi8(_mm512_loadu_si512(tables), codes, _mm512_loadu_si512(tables + 64));
    const __m512i above =
        _mm512_permutex2var_epi8(_mm512_loadu_si512(tables + 128), codes, _mm512_loadu_si512(tables + 192));
    const __m512i values = _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), below, above);
    even = _mm512_adds_epu16(even, _mm512_and_si512(values, low_byte));
    odd = _mm512_adds_epu16(odd, _mm512_srli_epi16(values, 8));
  }
  const __m512i limit = _mm512_set1_epi16(static_cast<int16_t>(least));
  const __mmask32 even_rows = _mm512_cmpge_epu16_mask(even, limit), odd_rows = _mm512_cmpge_epu16_mask(odd, limit);
  if ((even_rows | odd_rows) == 0) return 0;
  constexpr __mmask64 kOdd = 0xaaaaaaaaaaaaaaaa;
  return _mm512_movepi8_mask(_mm512_mask_blend_epi8(kOdd, _mm512_movm_epi16(even_rows), _mm512_movm_epi16(odd_rows)));
}

}  // namespace tersor::cpu
