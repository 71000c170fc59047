#include "cpu/quantized/gemm_quantized_neon.h"

namespace tersor::cpu {
namespace {

struct NeonI8mm : NeonDigits {
  static constexpr int32_t kOffset = 0;

  using NeonDigits::multiply_add;
  static Integers codes(Integers bytes) { return bytes; }
  static Integers widen(const int16_t* zeros) { return vmovl_s16(vld1_s16(zeros)); }
  static void multiply_add(Integers& sum, Integers codes, Integers x) {
    sum = vusdotq_s32(sum, vreinterpretq_u8_s32(codes), vreinterpretq_s8_s32(x));
  }
  template <int kLane>
  TERSOR_INLINE static void multiply_add_lane(Integers& sum, Integers codes, Integers x) {
    sum = vusdotq_laneq_s32(sum, vreinterpretq_u8_s32(codes), vreinterpretq_s8_s32(x), kLane);
  }
};

constexpr DigitKernels kKernels = {
    .tile_rows = {NeonI8mm::kTileRows[0], NeonI8mm::kTileRows[1], NeonI8mm::kTileRows[2]},
    .packed_rows = {},
    .code_offset = NeonI8mm::kOffset,
    .split = split<NeonI8mm>,
    .widen = widen<NeonI8mm>,
    .multiply = multiply<NeonI8mm>,
    .multiply_packed = nullptr,
};

}  // namespace

tersor_status gemm_quantized_neoni8mm(tersor_context* context, const QuantizedProduct& product) {
  return gemm_quantized_digits(context, product, kKernels, gemm_quantized_neon);
}

}  // namespace tersor::cpu
