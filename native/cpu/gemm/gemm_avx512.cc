#include <immintrin.h>

#include "cpu/gemm/gemm_blocked.h"
#include "cpu/gemm/gemm_pack.h"
#include "cpu/gemm/gemm_tile.h"
#include "cpu/gemm/gram_blocked.h"
#include "cpu/vector/vector_avx2.h"

namespace tersor::cpu {
namespace {

struct Avx512 {
  using Register = __m512;
  using Mask = __mmask16;
  static constexpr int kWidth = 16;

  static Mask mask(int count) { return static_cast<Mask>((1u << count) - 1); }
  static Register zero() { return _mm512_setzero_ps(); }
  static Register load(const float* p) { return _mm512_loadu_ps(p); }
  static Register load(const float* p, Mask m) { return _mm512_maskz_loadu_ps(m, p); }
  static Register broadcast(const float* p) { return _mm512_set1_ps(*p); }
  static Register add(Register a, Register b) { return _mm512_add_ps(a, b); }
  static Register multiply_add(Register a, Register b, Register c) { return _mm512_fmadd_ps(a, b, c); }
  static Register low_half(Register words) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(words), 16));
  }
  static Register high_half(Register words) {
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(words), _mm512_set1_epi32(-0x10000)));
  }
  static void store(float* p, Register v) { _mm512_storeu_ps(p, v); }
  static void store(float* p, Register v, Mask m) { _mm512_mask_storeu_ps(p, m, v); }

  static void store_sums(float* p, Register a, Register b, Register c, Register d) {
    // Quarters (128 bits) of ab: two of a's partial sums, two of b's; of abcd: one each.
    const __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    const __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    const __m512 abcd = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
    const __m512 pairs = _mm512_add_ps(abcd, _mm512_permute_ps(abcd, 0xb1));
    const __m512 sums = _mm512_add_ps(pairs, _mm512_permute_ps(pairs, 0x4e));
    const __m512i firsts = _mm512_setr_epi32(0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
    _mm_store_ps(p, _mm512_castps512_ps128(_mm512_permutexvar_ps(firsts, sums)));
  }
};

constexpr int kTileRows = 8, kTileVectors = 3, kRowVectors = 6, kDotRows = 6;

constexpr GemmTiles kTiles = {
    .tile_rows = kTileRows,
    .tile_columns = kTileVectors * Avx512::kWidth,
    .multiply_tile = PanelTiles<Avx512, F32Columns<Avx512>, kTileRows, kTileVectors>::multiply,
    .multiply_bf16_tile = PanelTiles<Avx512, Bf16Columns<Avx512>, kTileRows, kTileVectors>::multiply,
    .multiply_row = PanelTiles<Avx512, F32Columns<Avx512>, 1, kRowVectors>::multiply,
    .multiply_bf16_row = PanelTiles<Avx512, Bf16Columns<Avx512>, 1, kRowVectors>::multiply,
    .row_columns = kRowVectors * Avx512::kWidth,
    .widen = widen<Avx512>,
    .pack_rows = pack_panel<Avx2Vector, kTileRows>,
    .pack_columns = {pack_panel<Avx2Vector, 16>, pack_panel<Avx2Vector, 32>, pack_panel<Avx2Vector, 48>},
    .multiply_dots = DotTiles<Avx512, kDotRows>::multiply,
};

}  // namespace

tersor_status gemm_avx512(const GemmArguments& arguments) { return gemm_blocked(arguments, kTiles); }

tersor_status gram_avx512(const GramArguments& arguments) { return gram_blocked(arguments, kTiles); }

}  // namespace tersor::cpu
