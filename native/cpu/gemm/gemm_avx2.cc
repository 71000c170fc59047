#include <immintrin.h>

#include "cpu/gemm/gemm_blocked.h"
#include "cpu/gemm/gemm_pack.h"
#include "cpu/gemm/gemm_tile.h"
#include "cpu/gemm/gram_blocked.h"
#include "cpu/vector/vector_avx2.h"

namespace tersor::cpu {
namespace {

struct Avx2 {
  using Register = __m256;
  using Mask = __m256i;
  static constexpr int kWidth = 8;

  static Mask mask(int count) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane);
  }
  static Register zero() { return _mm256_setzero_ps(); }
  static Register load(const float* p) { return _mm256_loadu_ps(p); }
  static Register load(const float* p, Mask m) { return _mm256_maskload_ps(p, m); }
  static Register broadcast(const float* p) { return _mm256_broadcast_ss(p); }
  static Register add(Register a, Register b) { return _mm256_add_ps(a, b); }
  static Register multiply_add(Register a, Register b, Register c) { return _mm256_fmadd_ps(a, b, c); }
  static Register low_half(Register words) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(words), 16));
  }
  static Register high_half(Register words) {
    return _mm256_castsi256_ps(_mm256_and_si256(_mm256_castps_si256(words), _mm256_set1_epi32(-0x10000)));
  }
  static void store(float* p, Register v) { _mm256_storeu_ps(p, v); }
  static void store(float* p, Register v, Mask m) { _mm256_maskstore_ps(p, m, v); }

  static void store_sums(float* p, Register a, Register b, Register c, Register d) {
    const __m256 halves = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    _mm_store_ps(p, _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1)));
  }
};

constexpr int kTileRows = 6, kTileVectors = 2, kRowVectors = 6, kDotRows = 3;

constexpr GemmTiles kTiles = {
    .tile_rows = kTileRows,
    .tile_columns = kTileVectors * Avx2::kWidth,
    .multiply_tile = PanelTiles<Avx2, F32Columns<Avx2>, kTileRows, kTileVectors>::multiply,
    .multiply_bf16_tile = nullptr,  // would need more than 16 registers
    .multiply_row = PanelTiles<Avx2, F32Columns<Avx2>, 1, kRowVectors>::multiply,
    .multiply_bf16_row = PanelTiles<Avx2, Bf16Columns<Avx2>, 1, kRowVectors>::multiply,
    .row_columns = kRowVectors * Avx2::kWidth,
    .widen = widen<Avx2>,
    .pack_rows = pack_panel<Avx2Vector, kTileRows>,
    .pack_columns = {pack_panel<Avx2Vector, 16>, pack_panel<Avx2Vector, 32>, pack_panel<Avx2Vector, 48>},
    .multiply_dots = DotTiles<Avx2, kDotRows>::multiply,
};

}  // namespace

tersor_status gemm_avx2(const GemmArguments& arguments) { return gemm_blocked(arguments, kTiles); }

tersor_status gram_avx2(const GramArguments& arguments) { return gram_blocked(arguments, kTiles); }

}  // namespace tersor::cpu
