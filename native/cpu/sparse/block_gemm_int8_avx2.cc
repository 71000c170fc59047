// Exact without vpdpbusd: bytes are widened to 16 bits and multiplied by vpmaddwd, see int8/gemm_int8_avx2.cc.
#include "cpu/sparse/block_gemm_int8_ymm.h"

namespace tersor::cpu {
namespace {

// Bytes 0 and 2, then bytes 1 and 3 of every lane, in 16 bits each.
struct Halves {
  __m256i even, odd;
};

struct Dot : Ymm {
  static constexpr int kRows[] = {2, 2};
  using Input = Halves;
  using Weight = Halves;
  static Input input(const uint8_t* from) {
    const __m256i x = spread(from);
    return {_mm256_and_si256(x, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(x, 8)};
  }
  static Weight weight(__m256i w) { return {_mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8), _mm256_srai_epi16(w, 8)}; }
  static __m256i add(__m256i sum, const Input& x, const Weight& w) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x.even, w.even));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(x.odd, w.odd));
  }
};

}  // namespace

tersor_status block_gemm_int8_avx2(tersor_context* context, const BlockInt8Product& product) {
  return block_gemm_int8_tiled(context, product, BlockInt8Rows<Dot>::multiply);
}

}  // namespace tersor::cpu
