#include <immintrin.h>

#include "cpu/search/search_tile.h"

namespace tersor::cpu {
namespace {

struct Floats {
  using Sum = __m512;
  using Rows = __m512;
  using Word = __m512;
  static constexpr int kVectorBytes = 64, kWordBytes = 4;

  static Sum start(const int32_t*, int64_t) { return _mm512_setzero_ps(); }
  static Rows load(const uint8_t* p) { return _mm512_loadu_ps(p); }
  static Word spread(const uint8_t* p) { return _mm512_set1_ps(*reinterpret_cast<const float*>(p)); }
  static Sum add(Sum sum, Rows rows, Word word) { return _mm512_fmadd_ps(rows, word, sum); }
  static uint32_t finish(Sum sum, const uint8_t* terms, float factor, float limit, float* to) {
    const Sum score = _mm512_sub_ps(_mm512_mul_ps(sum, _mm512_set1_ps(factor)), _mm512_loadu_ps(terms));
    _mm512_storeu_ps(to, score);
    return _mm512_cmp_ps_mask(score, _mm512_set1_ps(limit), _CMP_NLE_UQ);
  }
};

}  // namespace

void search_f32_avx512(const uint8_t* tile, int64_t steps, const SearchQueries<float>& queries, float factor,
                       float* scores, uint32_t* above) {
  search_tile<Floats, 8>(tile, steps, queries, factor, scores, above);
}

}  // namespace tersor::cpu
