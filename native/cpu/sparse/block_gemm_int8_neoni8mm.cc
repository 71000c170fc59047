// Dot products of u8 by i8. Multiplying two rows at a time would first bring together the columns of x that two blocks
// have, which lie apart.
#include "cpu/sparse/block_gemm_int8_neon.h"

namespace tersor::cpu {
namespace {

struct Dot : NeonBlocks {
  using Input = uint8x16_t;
  static Input input(const uint8_t* x) { return vreinterpretq_u8_s32(spread(x)); }
  static Register add(Register sum, Input x, Weight w) { return vusdotq_s32(sum, x, w); }
};

}  // namespace

tersor_status block_gemm_int8_neoni8mm(tersor_context* context, const BlockInt8Product& product) {
  return block_gemm_int8_tiled(context, product, BlockInt8Rows<Dot>::multiply);
}

}  // namespace tersor::cpu
