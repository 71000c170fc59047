// The loops that machine_limits.cc times. Instruction set in the file name, as for kernels.
#pragma once

#include <cstdint>

namespace tersor::bench {

// Independent multiply-adds on registers; returns the operations done, a multiply-add being two.
using PeakLoop = int64_t(int64_t rounds);

// Reads every byte. `data` is aligned to 64 and `bytes` is a multiple of kStreamStep.
using StreamLoop = void(const void* data, int64_t bytes);
inline constexpr int64_t kStreamStep = 512;

// Reads every byte of rows of a table, each fetched `ahead` rows before, to the second-level cache when `to_l2`;
// `row_bytes` is a multiple of 8.
using RowsLoop = void(const void* table, int64_t row_bytes, const int32_t* ids, int64_t count, int64_t ahead,
                      bool to_l2);

PeakLoop f32_peak_scalar, f32_peak_avx2, f32_peak_avx512;
PeakLoop bf16_peak_avx512bf16;
PeakLoop int8_peak_avx2, int8_peak_avx512vnni;
StreamLoop stream_scalar, stream_avx2, stream_avx512;
RowsLoop rows_scalar, rows_avx2, rows_avx512;

}  // namespace tersor::bench
