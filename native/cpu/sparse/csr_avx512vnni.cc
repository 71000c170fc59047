#include <immintrin.h>

#include "cpu/int8/int4_avx512.h"
#include "cpu/sparse/csr_tile.h"

namespace tersor::cpu {
namespace {

struct Vnni {
  using Word = int32_t;
  using Register = __m512i;
  // A word in memory, which vpdpbusd spreads itself.
  struct Weight {
    const int32_t* word;
  };
  static constexpr int kLanes = 16, kSums = 16;

  static Register load(const int32_t* p) { return _mm512_loadu_si512(p); }
  static void store(int32_t* p, Register r) { _mm512_storeu_si512(p, r); }
  static Register load_quad(const int32_t* p) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Register splat(Register quad, int i) {
    switch (i) {
      case 0:
        return _mm512_shuffle_epi32(quad, _MM_PERM_AAAA);
      case 1:
        return _mm512_shuffle_epi32(quad, _MM_PERM_BBBB);
      case 2:
        return _mm512_shuffle_epi32(quad, _MM_PERM_CCCC);
      default:
        return _mm512_shuffle_epi32(quad, _MM_PERM_DDDD);
    }
  }
  static Weight splat(const int32_t* quad, int i) { return {quad + i}; }
  // By hand: gcc 12 copies and spills the accumulators of _mm512_dpbusd_epi32.
  static Register multiply_add(Register sum, Register x, Register w) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
    return sum;
  }
  static Register multiply_add(Register sum, Register x, Weight w) {
    __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(x), "m"(*w.word));
    return sum;
  }
  static Register gather(const int32_t* x, const uint8_t* offsets) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(offsets));
    return _mm512_i32gather_epi32(_mm512_srli_epi32(_mm512_cvtepu16_epi32(bytes), 6), x, 4);
  }
};

// Expanded some at a time: from what has just been stored, small parts are loaded with a delay.
struct ShortSlots {
  static constexpr int64_t kBytes = kCsrShortSlotBytes, kTogether = 16;
  static constexpr int kLines = 1;

  static __m512i part(const uint8_t* slot, int) { return load_halves(slot + kCsrSlotValues); }

  ShortSlots(const uint8_t* slots, int64_t count) {
    for (int64_t s = 0; s < count; ++s) Vnni::store(expanded[s], part(slots + s * kBytes, 0));
  }
  const int32_t* words(int64_t s) const { return expanded[s]; }

  alignas(64) int32_t expanded[kTogether][kCsrLanes];
};

}  // namespace

void csr_i4_avx512vnni(const CsrGroup* groups, int64_t count, const uint8_t* data, const int32_t* x, int64_t planes,
                       int64_t plane_words, int32_t* sums) {
  csr_block<Vnni, ShortSlots>(groups, count, data, x, planes, plane_words, sums);
}

void csr_i8_avx512vnni(const CsrGroup* groups, int64_t count, const uint8_t* data, const int32_t* x, int64_t planes,
                       int64_t plane_words, int32_t* sums) {
  csr_block<Vnni>(groups, count, data, x, planes, plane_words, sums);
}

}  // namespace tersor::cpu
