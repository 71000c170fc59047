// The unit multiplies i8 by i8: codes of x come 128 less, and their zero points too.
#include "cpu/sparse/block_gemm_int8_neon.h"

namespace tersor::cpu {
namespace {

struct Dot : NeonBlocks {
  using Input = int8x16_t;
  static Input input(const uint8_t* x) { return vreinterpretq_s8_s32(spread(x)); }
  static Register add(Register sum, Input x, Weight w) { return vdotq_s32(sum, w, x); }
};

}  // namespace

tersor_status block_gemm_int8_neondotprod(tersor_context* context, const BlockInt8Product& product) {
  return block_gemm_int8_tiled(context, product, BlockInt8Rows<Dot>::multiply, true);
}

}  // namespace tersor::cpu
