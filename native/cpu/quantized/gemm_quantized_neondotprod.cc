// The unit multiplies i8 by i8: codes are taken 128 less, which starts and zero points make up for.
#include "cpu/quantized/gemm_quantized_neon.h"

namespace tersor::cpu {
namespace {

struct NeonDotprod : NeonDigits {
  static constexpr int32_t kOffset = 128;
  // A fourth row of three digits would leave no register for the offset.
  static constexpr int kTileRows[kMostDigits] = {8, 4, 3};

  using NeonDigits::multiply_add;
  static Integers codes(Integers bytes) { return veorq_s32(bytes, vreinterpretq_s32_u8(vdupq_n_u8(kOffset))); }
  static Integers widen(const int16_t* zeros) { return vaddw_s16(vdupq_n_s32(kOffset), vld1_s16(zeros)); }
  static void multiply_add(Integers& sum, Integers codes, Integers x) {
    sum = vdotq_s32(sum, vreinterpretq_s8_s32(codes), vreinterpretq_s8_s32(x));
  }
  template <int kLane>
  TERSOR_INLINE static void multiply_add_lane(Integers& sum, Integers codes, Integers x) {
    sum = vdotq_laneq_s32(sum, vreinterpretq_s8_s32(codes), vreinterpretq_s8_s32(x), kLane);
  }
};

constexpr DigitKernels kKernels = {
    .tile_rows = {NeonDotprod::kTileRows[0], NeonDotprod::kTileRows[1], NeonDotprod::kTileRows[2]},
    .packed_rows = {},
    .code_offset = NeonDotprod::kOffset,
    .split = split<NeonDotprod>,
    .widen = widen<NeonDotprod>,
    .multiply = multiply<NeonDotprod>,
    .multiply_packed = nullptr,
};

}  // namespace

tersor_status gemm_quantized_neondotprod(tersor_context* context, const QuantizedProduct& product) {
  return gemm_quantized_digits(context, product, kKernels, gemm_quantized_neon);
}

}  // namespace tersor::cpu
