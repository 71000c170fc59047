// Few rows of x by an N:M weight that is not expanded: a shuffle brings to every stored value the code of x that it
// meets. That is one shuffle and one multiplication a row where the dense loop multiplies twice, so what is saved is
// the reading of zeros.
#include "cpu/int8/int4_avx512.h"
#include "cpu/int8/int8_panel_avx512.h"
#include "cpu/int8/nm_layout.h"

namespace tersor::cpu {
namespace {

// Which columns of a step its mask names, a byte each: the first `held`, counted from `column`, from byte `byte` of an
// element on. 0x80 chooses 0. Beyond 16 elements they repeat: bits above a mask do not matter.
template <typename Element, int kElements>
struct Sources {
  alignas(64) Element elements[kElements];

  constexpr Sources(int held, int byte, int column) : elements{} {
    for (int at = 0; at < kElements; ++at) {
      int stored = 0;
      for (int k = 0; k < kInt8Depth && stored < held; ++k) {
        if ((at >> k & 1) != 0) put(at, byte + stored++, column + k);
      }
      for (; stored < held; ++stored) put(at, byte + stored, 0x80);
    }
  }

 private:
  constexpr void put(int at, int byte, int source) { elements[at] |= static_cast<Element>(source << (byte * 8)); }
};

constexpr Sources<uint16_t, 32> kOfTwo{2, 0, 0};
constexpr Sources<uint32_t, 16> kOfOne[4] = {{1, 0, 0}, {1, 1, 4}, {1, 2, 8}, {1, 3, 12}};

// Decodes the masks of an eight, word by word of the values: which columns of the word's they meet.
template <int kHeld>
struct Decoder;

template <>
struct Decoder<2> {
  const __m512i table = _mm512_load_si512(kOfTwo.elements);
  const __m512i odd = _mm512_set1_epi32(kInt8Depth * 0x01010000);

  __m512i operator()(__m512i masks, int word) const {
    const __m512i mask = _mm512_srli_epi32(masks, static_cast<unsigned>(nm_mask_shift(word * 2)));
    return _mm512_or_si512(_mm512_permutexvar_epi16(mask, table), odd);
  }
};

template <>
struct Decoder<1> {
  const __m512i tables[4] = {_mm512_load_si512(kOfOne[0].elements), _mm512_load_si512(kOfOne[1].elements),
                             _mm512_load_si512(kOfOne[2].elements), _mm512_load_si512(kOfOne[3].elements)};

  __m512i operator()(__m512i masks, int word) const {
    __m512i sources = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) {
      const __m512i mask = _mm512_srli_epi32(masks, static_cast<unsigned>(nm_mask_shift(word * 4 + s)));
      sources = _mm512_or_si512(sources, _mm512_permutexvar_epi32(mask, tables[s]));
    }
    return sources;
  }
};

// Codes of the columns that a word has values of, in every 128 bits.
template <int kHeld>
__m512i columns_of(const uint8_t* x) {
  if constexpr (kHeld == 1) return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
  int64_t eight;
  std::memcpy(&eight, x, sizeof eight);
  return _mm512_set1_epi64(eight);
}

// The last steps of rows of x, which are fewer than eight, as eight.
template <int kTileRows>
[[gnu::noinline]] void copy_last(const uint8_t* x, int64_t stride, int64_t bytes, uint8_t* to) {
  constexpr int64_t kBytes = kNmInt8Steps * kInt8Depth;
  std::memset(to, 0, kTileRows * kBytes);
  for (int64_t i = 0; i < kTileRows; ++i) std::memcpy(to + i * kBytes, x + i * stride, static_cast<size_t>(bytes));
}

// Of sums and what decodes masks, as many as there are registers for: tables for a mask of one take four.
template <int kHeld>
inline constexpr int kMostChains = kHeld == 1 ? 12 : 24;

// 16 columns or all 32: the fewer, the more rows share the decoding of a mask.
template <int kHeld, int kBits, int kTileRows, int kVectors>
void multiply_rows(const Int8Panel& p) {
  constexpr int kSteps = kInt8Depth / kHeld, kWords = kNmInt8Steps / kSteps;
  constexpr int kTogether = 8 / kBits;  // words of values that share their bytes
  constexpr int64_t kHalfBytes = kNmInt8HalfRows * 4 + kWords * 64 / kTogether;
  constexpr int kChains = kTileRows * kVectors, kSets = kChains <= 8 && 2 * kChains <= kMostChains<kHeld> ? 2 : 1;
  // Rows of x may end with the last steps. Before there are sums, which no register keeps over a call.
  constexpr int64_t kLastBytes = kNmInt8Steps * kInt8Depth;
  alignas(64) uint8_t last[kTileRows * kLastBytes];
  if (const int64_t over = p.steps % kNmInt8Steps; over > 0) {
    copy_last<kTileRows>(p.x + (p.steps - over) * kInt8Depth, p.x_stride, over * kInt8Depth, last);
  }
  Sums<kTileRows, kVectors> sums[kSets];
  start<kTileRows>(p, sums[0]);
  for (int set = 1; set < kSets; ++set) {
#pragma GCC unroll 16
    for (int i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[set][i][v] = _mm512_setzero_si512();
    }
  }
  const Decoder<kHeld> decode;

  const auto eight = [&](const int8_t* w, const uint8_t* codes_of_rows, int64_t stride) __attribute__((always_inline)) {
    constexpr int kThrees = (kTileRows + 2) / 3;
    const uint8_t* x[kThrees];
#pragma GCC unroll 6
    for (int i = 0; i < kThrees; ++i) x[i] = codes_of_rows + i * 3 * stride;
    __m512i masks[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) masks[v] = _mm512_loadu_si512(w + v * kHalfBytes);
#pragma GCC unroll 4
    for (int word = 0; word < kWords; ++word) {
      __m512i values[kVectors], sources[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        __m512i together[kTogether];
        const int8_t* from = w + v * kHalfBytes + kNmInt8HalfRows * 4 + word / kTogether * 64;
        load_integers<kBits>(reinterpret_cast<const uint8_t*>(from), together);
        values[v] = together[word % kTogether];
        sources[v] = decode(masks[v], word);
      }
#pragma GCC unroll 16
      for (int i = 0; i < kTileRows; ++i) {
        const __m512i codes = columns_of<kHeld>(x[i / 3] + i % 3 * stride + word * kSteps * kInt8Depth);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
          auto& sum = sums[word % kSets][i][v];
          sum = multiply_add(sum, _mm512_shuffle_epi8(codes, sources[v]), values[v]);
        }
      }
    }
  };

  const int8_t* w = p.w;
  const uint8_t* x = p.x;
  const int64_t ahead = p.ahead - p.w;
  int64_t left = p.steps;
#pragma GCC unroll 1
  for (; left >= kNmInt8Steps; left -= kNmInt8Steps) {
#pragma GCC unroll 10
    for (int64_t line = 0; line < kVectors * kHalfBytes; line += 64) __builtin_prefetch(w + ahead + line);
    eight(w, x, p.x_stride);
    w += 2 * kHalfBytes;
    x += kNmInt8Steps * kInt8Depth;
  }
  if (left > 0) eight(w, last, kLastBytes);
  add_sets(sums);
  finish<kTileRows>(p, sums[0]);
}

template <int kHeld, int kBits, int kTileRows = kNmChosenRows>
void multiply(const Int8Panel& p) {
  if constexpr (kTileRows > 1) {
    if (p.rows < kTileRows) return multiply<kHeld, kBits, kTileRows - 1>(p);
  }
  if constexpr (kTileRows <= kNmChosenRows / 2 && 2 * kTileRows <= kMostChains<kHeld>) {
    multiply_rows<kHeld, kBits, kTileRows, 2>(p);
  } else {
    multiply_rows<kHeld, kBits, kTileRows, 1>(p);
    constexpr int64_t kHalfBytes = kNmInt8HalfRows * (4 + kNmInt8Steps * kHeld * kBits / 8);
    Int8Panel half = p;
    half.w += kHalfBytes;
    half.ahead += kHalfBytes;
    half.start += kNmInt8HalfRows;
    if (p.sums != nullptr) {
      half.sums += kNmInt8HalfRows;
    } else {
      half.y += kNmInt8HalfRows;
      half.factors += kNmInt8HalfRows;
    }
    multiply_rows<kHeld, kBits, kTileRows, 1>(half);
  }
}

}  // namespace

void multiply_nm_avx512vnni(const Int8Panel& panel, int64_t held) {
  if (held == 1) return panel.bits == 4 ? multiply<1, 4>(panel) : multiply<1, 8>(panel);
  if (panel.bits == 4) return multiply<2, 4>(panel);
  multiply<2, 8>(panel);
}

}  // namespace tersor::cpu
