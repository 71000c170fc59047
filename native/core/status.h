// Status codes shared by the C++ core, the C backend table and the Node binding.
// lib/errors.ts maps each one to a stable TersorError code; the numbers are part of the backend ABI.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tersor_status {
  TERSOR_OK = 0,
  TERSOR_INVALID_ARGUMENT = 1,
  TERSOR_INVALID_SHAPE = 2,
  TERSOR_INVALID_DTYPE = 3,
  TERSOR_OUT_OF_RANGE = 4,
  TERSOR_NOT_FINITE = 5,
  TERSOR_OUT_OF_MEMORY = 6,
  TERSOR_CANCELLED = 7,
  TERSOR_UNSUPPORTED = 8,
  TERSOR_INTERNAL = 9,
} tersor_status;

#ifdef __cplusplus
}
#endif
