// Element types of a tensor. Values are part of the backend ABI.
//
// U1..U4 are bit-packed: code j of a row sits at bits [j*b, j*b+b) of a little-endian bit stream, and every row
// (the last dimension) starts on a byte of its own.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tersor_dtype {
  TERSOR_F32 = 0,
  TERSOR_F16 = 1,
  TERSOR_BF16 = 2,
  TERSOR_I8 = 3,
  TERSOR_U8 = 4,
  TERSOR_I32 = 5,
  TERSOR_U32 = 6,
  TERSOR_I64 = 7,
  TERSOR_U1 = 8,
  TERSOR_U2 = 9,
  TERSOR_U3 = 10,
  TERSOR_U4 = 11,
} tersor_dtype;

enum { TERSOR_DTYPE_COUNT = 12 };

#ifdef __cplusplus
}

namespace tersor {

constexpr int bits_of(tersor_dtype dtype) {
  constexpr int bits[TERSOR_DTYPE_COUNT] = {32, 16, 16, 8, 8, 32, 32, 64, 1, 2, 3, 4};
  return bits[dtype];
}

constexpr const char* name_of(tersor_dtype dtype) {
  constexpr const char* names[TERSOR_DTYPE_COUNT] = {"f32", "f16", "bf16", "i8", "u8", "i32",
                                                     "u32", "i64", "u1",   "u2", "u3", "u4"};
  return names[dtype];
}

constexpr bool is_bit_packed(tersor_dtype dtype) { return bits_of(dtype) < 8; }

// Bytes of one row of `columns` elements; rows of bit-packed types are padded to a whole byte.
constexpr int64_t row_bytes(tersor_dtype dtype, int64_t columns) { return (columns * bits_of(dtype) + 7) / 8; }

}  // namespace tersor
#endif
