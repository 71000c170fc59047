#include "cpu/sparse/block_gemm_int8_ymm.h"

namespace tersor::cpu {
namespace {

struct Dot : Ymm {
  static constexpr int kRows[] = {3, 3};
  using Input = __m256i;
  using Weight = __m256i;
  static Input input(const uint8_t* x) { return spread(x); }
  static Weight weight(__m256i w) { return w; }
  // By hand, as with AVX-512: gcc 12 copies the accumulators of the intrinsic.
  static __m256i add(__m256i sum, Input x, Weight w) {
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(w));
    return sum;
  }
};

}  // namespace

tersor_status block_gemm_int8_avx2vnni(tersor_context* context, const BlockInt8Product& product) {
  return block_gemm_int8_tiled(context, product, BlockInt8Rows<Dot>::multiply);
}

}  // namespace tersor::cpu
