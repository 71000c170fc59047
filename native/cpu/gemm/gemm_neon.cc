#include "cpu/gemm/gemm_blocked.h"
#include "cpu/gemm/gemm_pack.h"
#include "cpu/gemm/gemm_tile.h"
#include "cpu/gemm/gram_blocked.h"
#include "cpu/vector/vector_neon.h"

namespace tersor::cpu {
namespace {

struct Neon : NeonF32 {
  using NeonF32::load;
  using NeonF32::store;
  using Mask = int;  // lanes

  static Mask mask(int count) { return count; }
  static Register load(const float* p, Mask count) { return NeonVector::load(p, count); }
  static void store(float* p, Register v, Mask count) { NeonVector::store(p, v, count); }
  static Register low_half(Register words) {
    return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(words), 16));
  }
  static Register high_half(Register words) {
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(words), vdupq_n_u32(0xffff0000)));
  }
  static void store_sums(float* p, Register a, Register b, Register c, Register d) {
    vst1q_f32(p, vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d)));
  }
};

// 24 of the 32 registers are sums; two hold the factors of eight rows, three a step's columns.
constexpr int kTileRows = 8, kTileVectors = 3, kRowVectors = 12, kDotRows = 4;

constexpr GemmTiles kTiles = {
    .tile_rows = kTileRows,
    .tile_columns = kTileVectors * Neon::kWidth,
    .multiply_tile = PanelTiles<Neon, F32Columns<Neon>, kTileRows, kTileVectors>::multiply,
    .multiply_bf16_tile = nullptr,  // would need more registers than there are
    .multiply_row = PanelTiles<Neon, F32Columns<Neon>, 1, kRowVectors>::multiply,
    .multiply_bf16_row = PanelTiles<Neon, Bf16Columns<Neon>, 1, kRowVectors>::multiply,
    .row_columns = kRowVectors * Neon::kWidth,
    .widen = widen<Neon>,
    .pack_rows = pack_panel<NeonVector, kTileRows>,
    .pack_columns = {pack_panel<NeonVector, 16>, pack_panel<NeonVector, 32>, pack_panel<NeonVector, 48>},
    .multiply_dots = DotTiles<Neon, kDotRows>::multiply,
};

}  // namespace

tersor_status gemm_neon(const GemmArguments& arguments) { return gemm_blocked(arguments, kTiles); }

tersor_status gram_neon(const GramArguments& arguments) { return gram_blocked(arguments, kTiles); }

}  // namespace tersor::cpu
