// Int8 units that add four products at a time (AVX-512 VNNI, AVX-VNNI, NEON), written once for all widths. Anonymous,
// so that each file that includes it has its own code for its own ISA.
//
// Vector brings the types Integers and Floats, kWidth (lanes of 32 bits), kRegisters, and the operations used below.
#pragma once

#include <algorithm>
#include <cstring>

#include "cpu/quantized/gemm_quantized_digits.h"
#include "cpu/vector/transpose_four.h"
#if TERSOR_NEON
#include "cpu/vector/by_element_neon.h"
#endif

namespace tersor::cpu {
namespace {

// What takes vectors by reference must become part of its caller, or they leave their registers.
#define TERSOR_INLINE [[gnu::always_inline]] inline

// --- x into digits ---------------------------------------------------------------------------------------------------

// Largest numbers that so many balanced digits hold; of three, below 0x7f7f7f by more than the rounding of a scale can
// add.
inline constexpr float kLargest[kMostDigits] = {127.0f, 32639.0f, 8355600.0f};
// Magnitudes whose scales and sums stay far inside f32, as bits: 2^-80 and 2^80.
inline constexpr int32_t kSmallestBits = 47 << 23, kLargestBits = 207 << 23;

// Count a multiple of 64.
template <typename Vector, int kDigits>
void split_values(const float* values, int64_t count, float inverse, int8_t* planes) {
  const auto factor = Vector::broadcast(inverse);
  const auto half = Vector::broadcast(int32_t{128});
  constexpr int kStep = 4 * Vector::kWidth;
  for (int64_t k = 0; k < count; k += kStep) {
    typename Vector::Integers rest[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      rest[i] = Vector::round(Vector::multiply(Vector::load(values + k + i * Vector::kWidth), factor));
    }
#pragma GCC unroll 3
    for (int d = 0; d < kDigits; ++d) {
      if (d + 1 == kDigits) {
        Vector::store_bytes(planes + d * kBlockDepth + k, rest[0], rest[1], rest[2], rest[3]);
        break;
      }
      Vector::store_low_bytes(planes + d * kBlockDepth + k, rest[0], rest[1], rest[2], rest[3]);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) rest[i] = Vector::shift_right_8(Vector::add(rest[i], half));
    }
  }
}

// The span's values with zeros as padding; `room` holds a copy where x itself will not do.
inline const float* padded_values(const float* x, const Span& span, int64_t count, float* room) {
  if (count == span.depth) return x;
  float* to = room;
  for (int64_t i = 0; i < span.blocks; ++i) {
    const int64_t depth = span.depth_of(i), padded = padded_depth(depth);
    std::memcpy(to, x + i * span.block_depth, static_cast<size_t>(depth) * sizeof(float));
    std::fill(to + depth, to + padded, 0.0f);
    to += padded;
  }
  std::fill(to, room + count, 0.0f);
  return room;
}

// Planes of digits, kBlockDepth bytes apart, by steps of four k: for each step, four bytes of each plane.
inline void interleave(const int8_t* planes, int64_t count, int64_t padded, int8_t* digits) {
  const int64_t step = count * 4;
  int64_t d = 0;
  for (; d + 4 <= count; d += 4) {
    for (int64_t k = 0; k < padded; k += 16) {
      transpose_four(planes + d * kBlockDepth + k, kBlockDepth, digits + k / 4 * step + d * 4, step);
    }
  }
  for (; d < count; ++d) {
    const int8_t* plane = planes + d * kBlockDepth;
    for (int64_t k = 0; k < padded; k += 4) std::memcpy(digits + k / 4 * step + d * 4, plane + k, 4);
  }
}

// Of each plane over a block, from interleaved digits: lanes are planes.
template <typename Vector>
void sum_planes(const int8_t* digits, int64_t count, int64_t padded, int32_t* sums) {
  for (int64_t first = 0; first < count; first += Vector::kWidth) {
    const auto lanes = Vector::first_lanes(std::min<int64_t>(count - first, Vector::kWidth));
    auto even = Vector::broadcast(0), odd = even;
    const int8_t* from = digits + first * 4;
    for (int64_t k = 0; k < padded; k += 8, from += count * 8) {
      Vector::multiply_add(even, Vector::ones(), Vector::load_lanes(from, lanes));
      Vector::multiply_add(odd, Vector::ones(), Vector::load_lanes(from + count * 4, lanes));
    }
    Vector::store_lanes(sums + first, lanes, Vector::add(even, odd));
  }
}

template <typename Vector>
void split(const SplitInput& x, const Span& span, int digits, int8_t* to, int32_t* sums, float* scales, uint8_t* good) {
  alignas(64) float room[kBlockDepth];
  alignas(64) int8_t planes[kMostTileDigits * kBlockDepth];
  float inverses[kMostTileDigits];
  const int64_t count = (span.padded + 63) / 64 * 64;
  for (int64_t i = 0; i < x.rows; ++i) {
    // By bits, where infinity and then NaN are the largest: a maximum of floats may lose NaN.
    const float* values = padded_values(x.values + i * x.stride, span, count, room);
    const int32_t bits = Vector::largest_magnitude(values, count);
    const bool zero = bits == 0, fits = bits >= kSmallestBits && bits <= kLargestBits;
    float largest;
    std::memcpy(&largest, &bits, sizeof largest);
    if (!zero && !fits) good[i] = 0;
    scales[i] = fits ? largest / kLargest[digits - 1] : 0;
    inverses[i] = fits ? kLargest[digits - 1] / largest : 0;
  }
  for (int64_t i = 0; i < x.rows; ++i) {
    int8_t* plane = planes + i * digits * kBlockDepth;
    const float* values = padded_values(x.values + i * x.stride, span, count, room);
    if (good[i] == 0) {
      std::memset(plane, 0, static_cast<size_t>(digits * kBlockDepth));
    } else if (digits == 1) {
      split_values<Vector, 1>(values, count, inverses[i], plane);
    } else if (digits == 2) {
      split_values<Vector, 2>(values, count, inverses[i], plane);
    } else {
      split_values<Vector, 3>(values, count, inverses[i], plane);
    }
  }
  const int64_t all = x.rows * digits;
  interleave(planes, all, span.padded, to);
  for (int64_t i = 0; i < span.blocks; ++i, sums += all) {
    const int64_t padded = padded_depth(span.depth_of(i));
    sum_planes<Vector>(to, all, padded, sums);
    to += padded * all;
  }
}

// --- codes into bytes ------------------------------------------------------------------------------------------------

// The codes of four k, step 0 to 3 of 16 k, as bytes, by half of the columns; those of half 1 are 2^kBits too large. Of
// each line, `part` says which of its vectors to take.
template <typename Vector, int kBits>
TERSOR_INLINE void bytes_of(const uint8_t* lines, int part, int step, typename Vector::Integers (&out)[2]) {
  const auto line = [&](int number) { return Vector::load_bytes(lines + number * 64 + part * Vector::kWidth * 4); };
  if (kBits == 3 && step == kSplitStep) {
    // Two bits from 6 on of the line of a half, one from bit 6 or 7 of the third.
    out[0] = Vector::merged(Vector::shift_right(line(0), 6), 3, Vector::shift_right(line(2), 4), 4);
    out[1] = Vector::merged(Vector::shift_right(line(1), 3), 24, Vector::shift_right(line(2), 2), 32);
    return;
  }
  const auto [offset, shift] = code_place(kBits, step, 0);
  auto both = line(static_cast<int>(offset / 64));
  if (shift > 0) both = Vector::shift_right(both, shift);
  constexpr uint8_t kLow = (1 << kBits) - 1, kHigh = static_cast<uint8_t>(kLow << kBits);
  out[0] = Vector::masked(both, kLow);
  out[1] = Vector::masked(both, kHigh);
}

// The bytes of a codebook that codes are numbers of, once `bytes_of` has taken those out.
template <typename Vector, int kBits>
TERSOR_INLINE void look_up(typename Vector::Integers codebook, typename Vector::Integers (&bytes)[2]) {
  bytes[0] = Vector::look_up(codebook, bytes[0]);
  bytes[1] = Vector::look_up(codebook, Vector::shift_right(bytes[1], kBits));
}

template <typename Vector, int kBits, bool kCodebook>
void widen_span(const Span& span, const uint8_t* from, const uint8_t* codebook, uint8_t* to) {
  typename Vector::Integers values = Vector::broadcast(0);
  if constexpr (kCodebook) values = Vector::repeat_16(codebook);
  for (int64_t i = 0; i < span.blocks; ++i) {
    const int64_t padded = padded_depth(span.depth_of(i));
    std::memcpy(to, from, kTileColumns * 4);
    const auto* zeros = reinterpret_cast<const int16_t*>(from + kTileColumns * 4);
    auto* wide_zeros = reinterpret_cast<int16_t*>(to + kTileColumns * 4);
    for (int j = 0; j < kTileColumns; ++j) {
      wide_zeros[j] = static_cast<int16_t>(zeros[j] * (j < kTileColumns / 2 ? 1 : 1 << kBits));
    }
    from += kBlockHeader;
    to += kBlockHeader;
    for (int64_t k = 0; k < padded; k += 16, from += 64 * kBits, to += 512) {
#pragma GCC unroll 4
      for (int part = 0; part < 16 / Vector::kWidth; ++part) {
#pragma GCC unroll 4
        for (int step = 0; step < 4; ++step) {
          typename Vector::Integers bytes[2];
          bytes_of<Vector, kBits>(from, part, step, bytes);
          if constexpr (kCodebook) look_up<Vector, kBits>(values, bytes);
          Vector::store(to + step * 128 + part * Vector::kWidth * 4, bytes[0]);
          Vector::store(to + step * 128 + 64 + part * Vector::kWidth * 4, bytes[1]);
        }
      }
    }
  }
}

template <typename Vector, int kBits>
void widen_bits(const Span& span, const uint8_t* blocks, const uint8_t* codebook, uint8_t* wide) {
  if (codebook == nullptr) return widen_span<Vector, kBits, false>(span, blocks, codebook, wide);
  widen_span<Vector, kBits, true>(span, blocks, codebook, wide);
}

template <typename Vector>
void widen(int bits, const Span& span, const uint8_t* blocks, const uint8_t* codebook, uint8_t* wide) {
  switch (bits) {
    case 1:
      return widen_span<Vector, 1, false>(span, blocks, codebook, wide);
    case 2:
      return widen_bits<Vector, 2>(span, blocks, codebook, wide);
    case 3:
      return widen_bits<Vector, 3>(span, blocks, codebook, wide);
    default:
      return widen_bits<Vector, 4>(span, blocks, codebook, wide);
  }
}

// --- products --------------------------------------------------------------------------------------------------------

// What the sums of a row's digits stand for, before scales.
template <typename Vector, int kDigits>
TERSOR_INLINE typename Vector::Floats value_of(const typename Vector::Integers (*sums)[2], int v) {
  if constexpr (kDigits == 1) return Vector::to_floats(sums[0][v]);
  const auto low = Vector::to_floats(Vector::add(Vector::shift_left_8(sums[1][v]), sums[0][v]));
  if constexpr (kDigits == 2) return low;
  if constexpr (kDigits == 3) {
    return Vector::multiply_add(Vector::to_floats(sums[2][v]), Vector::broadcast(65536.0f), low);
  }
}

// What is left to do with the sums of a block of several: partial[i] += value * the block's scales.
template <typename Vector, int kDigits, int kRows>
TERSOR_INLINE void add_block(const typename Vector::Integers (*sums)[2], const float* scales,
                             float (*partial)[2 * Vector::kWidth]) {
  const typename Vector::Floats scale[2] = {Vector::load(scales), Vector::load(scales + Vector::kWidth)};
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      float* to = partial[i] + v * Vector::kWidth;
      const auto value = value_of<Vector, kDigits>(sums + i * kDigits, v);
      Vector::store(to, Vector::multiply_add(value, scale[v], Vector::load(to)));
    }
  }
}

// Of the one block of a span: value * the row's scale * the block's. `column` is the first of the two vectors'.
template <typename Vector, int kDigits, int kRows>
TERSOR_INLINE void add_whole(typename Vector::Integers (*sums)[2], bool float_sums, const float* scales,
                             const RowScale* rows, int64_t column, float* out, const float* from) {
  if constexpr (kDigits == 1) {
    if (!float_sums) {
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) {
        sums[i][0] = Vector::as_integers(Vector::to_floats(sums[i][0]));
        sums[i][1] = Vector::as_integers(Vector::to_floats(sums[i][1]));
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) Vector::pin(sums[i][0], sums[i][1]);
  }
  const typename Vector::Floats scale[2] = {Vector::load(scales), Vector::load(scales + Vector::kWidth)};
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      const int64_t at = column + v * Vector::kWidth;
      const auto row_scale = Vector::broadcast(rows[i].scale[at / 16]);
      typename Vector::Floats value;
      if constexpr (kDigits == 1) {
        const auto excess = Vector::broadcast(rows[i].excess[at / 16]);
        value = Vector::multiply_add(Vector::as_floats(sums[i][v]), row_scale, excess);
      } else {
        value = Vector::multiply(value_of<Vector, kDigits>(sums + i * kDigits, v), row_scale);
      }
      const auto before = Vector::load(from + i * kTileColumns + at);
      Vector::store(out + i * kTileColumns + at, Vector::multiply_add(value, scale[v], before));
    }
  }
}

// Of the blocks of a span together: partial * the rows' scales.
template <typename Vector, int kRows>
void add_span(const float (*partial)[2 * Vector::kWidth], const RowScale* rows, int64_t column, float* out,
              const float* from) {
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      const int64_t at = column + v * Vector::kWidth;
      const auto scale = Vector::broadcast(rows[i].scale[at / 16]);
      const auto before = Vector::load(from + i * kTileColumns + at);
      const auto value = Vector::load(partial[i] + v * Vector::kWidth);
      Vector::store(out + i * kTileColumns + at, Vector::multiply_add(value, scale, before));
    }
  }
}

// Zeros by vectors: memset of so few bytes may become microcode that takes as long as a fourth of a block.
template <typename Vector, int kRows>
TERSOR_INLINE void clear(float (*partial)[2 * Vector::kWidth]) {
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    Vector::store(partial[i], Vector::broadcast(0.0f));
    Vector::store(partial[i] + Vector::kWidth, Vector::broadcast(0.0f));
  }
}

template <typename Vector>
typename Vector::Integers four_bytes(const int8_t* digits) {
  int32_t four;
  std::memcpy(&four, digits, 4);
  return Vector::broadcast(four);
}

// Adds to sums[r] the products of two vectors of columns with the four bytes at digits + 4 * r.
template <typename Vector, int kSums>
TERSOR_INLINE void add_products(typename Vector::Integers left, typename Vector::Integers right, const int8_t* digits,
                                typename Vector::Integers (&sums)[kSums][2]) {
#if TERSOR_NEON
  // By element: a register holds the bytes of four.
  constexpr int kWhole = kSums / 4 * 4;
  for_constants<kSums / 4>([&](auto quad) __attribute__((always_inline)) {
    const auto four = Vector::load_bytes(digits + quad * 16);
    for_constants<4>([&](auto lane) __attribute__((always_inline)) {
      Vector::template multiply_add_lane<lane>(sums[quad * 4 + lane][0], left, four);
      Vector::template multiply_add_lane<lane>(sums[quad * 4 + lane][1], right, four);
    });
  });
#else
  constexpr int kWhole = 0;
#endif
#pragma GCC unroll 16
  for (int r = kWhole; r < kSums; ++r) {
    const auto four = four_bytes<Vector>(digits + r * 4);
    Vector::multiply_add(sums[r][0], left, four);
    Vector::multiply_add(sums[r][1], right, four);
  }
}

// sums = starts + the products of a block of `padded` k with two vectors of columns from `column` on. Fetches `ahead`.
template <typename Vector, bool kSharedZero, int kSums>
TERSOR_INLINE void multiply_block(const uint8_t* block, int64_t padded, int64_t column, const int8_t* digits,
                                  const int32_t* starts, const uint8_t* ahead, int64_t ahead_step,
                                  typename Vector::Integers (&sums)[kSums][2]) {
  if constexpr (kSharedZero) {
#pragma GCC unroll 16
    for (int r = 0; r < kSums; ++r) {
      sums[r][0] = Vector::broadcast_from(starts + 2 * r + column / 16);
      sums[r][1] = Vector::broadcast_from(starts + 2 * r + (column + Vector::kWidth) / 16);
    }
  } else {
    const auto* zeros = reinterpret_cast<const int16_t*>(block + kTileColumns * 4) + column;
    const auto left = Vector::widen(zeros), right = Vector::widen(zeros + Vector::kWidth);
#pragma GCC unroll 16
    for (int r = 0; r < kSums; ++r) {
      // Sums of digits fit int16: the product of the low halves is -zero * sum; the high half of the zeros is 0.
      const auto sum = Vector::broadcast(starts[2 * r]);
      sums[r][0] = Vector::multiply_low(left, sum);
      sums[r][1] = Vector::multiply_low(right, sum);
    }
  }
  // Here and after the loop: what gcc 12 would otherwise move into the loop comes with copies and spills.
#pragma GCC unroll 16
  for (int r = 0; r < kSums; ++r) Vector::pin(sums[r][0], sums[r][1]);
  const uint8_t* codes = block + kBlockHeader + column * 4;
#pragma GCC unroll 1
  for (int64_t k = 0; k < padded; k += 8) {
#pragma GCC unroll 2
    for (int step = 0; step < 2; ++step, codes += 128, digits += kSums * 4, ahead += ahead_step) {
      __builtin_prefetch(ahead);
      const auto left = Vector::codes(Vector::load_bytes(codes));
      const auto right = Vector::codes(Vector::load_bytes(codes + Vector::kWidth * 4));
      add_products<Vector>(left, right, digits, sums);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kSums; ++r) Vector::pin(sums[r][0], sums[r][1]);
  __asm__ volatile("" ::: "memory");
}

// What multiplies a register tile of rows takes what it needs in registers and gives nothing back: the next tile's
// addresses must wait neither for this one's sums nor for stores.

// Of a span of one block, kRows rows of x and two vectors of columns from kColumn on.
template <typename Vector, int kDigits, int kRows, bool kSharedZero, int kColumn>
[[gnu::noinline]] void multiply_one(const uint8_t* block, int64_t padded, const int8_t* digits, const int32_t* starts,
                                    const RowScale* rows, float* out, const float* from, const uint8_t* ahead,
                                    int64_t ahead_step, bool float_sums) {
  typename Vector::Integers sums[kRows * kDigits][2];
  multiply_block<Vector, kSharedZero>(block, padded, kColumn, digits, starts, ahead, ahead_step, sums);
  const auto* scales = reinterpret_cast<const float*>(block) + kColumn;
  add_whole<Vector, kDigits, kRows>(sums, float_sums, scales, rows, kColumn, out, from);
}

// Of several.
template <typename Vector, int kDigits, int kRows, bool kSharedZero, int kColumn>
[[gnu::noinline]] void multiply_several(const uint8_t* block, const Span& span, const int8_t* digits,
                                        const int32_t* starts, const RowScale* rows, float* out, const float* from,
                                        const uint8_t* ahead, int64_t ahead_step, int64_t start_stride) {
  // gcc 12 takes the elements of an array that it knows for registers, and pushes others out when there are too few:
  // what has no room stands in one that it does not know.
  constexpr int kRoom = (Vector::kRegisters - 2 * kRows * kDigits - 5) / 2;
  constexpr int kKept = std::clamp(kRoom, 0, kRows), kOthers = kRows - kKept;
  alignas(64) float kept[std::max(kKept, 1)][2 * Vector::kWidth], memory[std::max(kOthers, 1)][2 * Vector::kWidth];
  auto* others = memory;
  __asm__("" : "+r"(others) : : "memory");
  clear<Vector, kKept>(kept);
  clear<Vector, kOthers>(others);
  for (int64_t i = 0; i < span.blocks; ++i, starts += start_stride) {
    const int64_t padded = padded_depth(span.depth_of(i));
    typename Vector::Integers sums[kRows * kDigits][2];
    multiply_block<Vector, kSharedZero>(block, padded, kColumn, digits, starts, ahead, ahead_step, sums);
    const auto* scales = reinterpret_cast<const float*>(block) + kColumn;
    add_block<Vector, kDigits, kKept>(sums, scales, kept);
    add_block<Vector, kDigits, kOthers>(sums + kKept * kDigits, scales, others);
    block += kBlockHeader + padded * kTileColumns;
    digits += padded * kRows * kDigits;
    ahead += padded / 4 * ahead_step;
  }
  add_span<Vector, kKept>(kept, rows, kColumn, out, from);
  constexpr int kAt = kKept * kTileColumns;
  add_span<Vector, kOthers>(others, rows + kKept, kColumn, out + kAt, from + kAt);
}

template <typename Vector, int kDigits, int kRows, bool kSharedZero, bool kOneBlock, int kColumn = 0>
TERSOR_INLINE void multiply_tile(const Span& span, const uint8_t* block, int64_t padded, const SplitTile& x,
                                 const Ahead& ahead, const TileSums& to) {
  const int64_t step = ahead.count > 0 ? 64 : 0;
  if constexpr (kOneBlock) {
    multiply_one<Vector, kDigits, kRows, kSharedZero, kColumn>(block, padded, x.digits, x.starts, x.scales, to.out,
                                                               to.from, ahead.lines, step, x.float_sums);
  } else {
    multiply_several<Vector, kDigits, kRows, kSharedZero, kColumn>(block, span, x.digits, x.starts, x.scales, to.out,
                                                                   to.from, ahead.lines, step, x.start_stride);
  }
  if constexpr (kColumn + 2 * Vector::kWidth < kTileColumns) {
    constexpr int kNext = kColumn + 2 * Vector::kWidth;
    multiply_tile<Vector, kDigits, kRows, kSharedZero, kOneBlock, kNext>(span, block, padded, x, ahead, to);
  }
}

template <typename Vector, int kDigits, int kRows, bool kSharedZero, bool kOneBlock>
TERSOR_INLINE void multiply_tiles(const Span& span, const uint8_t* wide, SplitTile x, int64_t rows, Ahead ahead,
                                  TileSums to) {
  const int64_t padded = span.padded;
  for (; rows >= kRows; rows -= kRows) {
    // In general registers: gcc 12 would add pairs of them by vectors, behind the products that are under way.
    __asm__("" : "+r"(x.digits), "+r"(x.starts), "+r"(x.scales), "+r"(to.out), "+r"(to.from), "+r"(ahead.lines));
    multiply_tile<Vector, kDigits, kRows, kSharedZero, kOneBlock>(span, wide, padded, x, ahead, to);
    x = x.next(padded, kRows, kDigits);
    to = to.next(kRows);
    if (ahead.count > 0) ahead = {ahead.lines + padded * 16, ahead.count - padded / 4};
  }
  if constexpr (kRows > 1) {
    if (rows > 0) multiply_tiles<Vector, kDigits, kRows - 1, kSharedZero, kOneBlock>(span, wide, x, rows, ahead, to);
  }
}

template <typename Vector, int kDigits, bool kSharedZero>
void multiply_span(const Span& span, const uint8_t* wide, const SplitTile& x, int64_t rows, const Ahead& ahead,
                   const TileSums& to) {
  constexpr int kRows = Vector::kTileRows[kDigits - 1];
  if (span.blocks == 1) {
    return multiply_tiles<Vector, kDigits, kRows, kSharedZero, true>(span, wide, x, rows, ahead, to);
  }
  multiply_tiles<Vector, kDigits, kRows, kSharedZero, false>(span, wide, x, rows, ahead, to);
}

template <typename Vector, int kDigits>
void multiply_digits(const DigitVariant& variant, const Span& span, const uint8_t* wide, const SplitTile& x,
                     int64_t rows, const Ahead& ahead, const TileSums& to) {
  if (variant.shared_zero) return multiply_span<Vector, kDigits, true>(span, wide, x, rows, ahead, to);
  multiply_span<Vector, kDigits, false>(span, wide, x, rows, ahead, to);
}

template <typename Vector>
void multiply(const DigitVariant& variant, const Span& span, const uint8_t* wide, const SplitTile& x, int64_t rows,
              const Ahead& ahead, const TileSums& to) {
  if (variant.digits == 1) return multiply_digits<Vector, 1>(variant, span, wide, x, rows, ahead, to);
  if (variant.digits == 2) return multiply_digits<Vector, 2>(variant, span, wide, x, rows, ahead, to);
  multiply_digits<Vector, 3>(variant, span, wide, x, rows, ahead, to);
}

}  // namespace
}  // namespace tersor::cpu
