#include <bit>
#include <cstring>
#include <limits>

#include "cpu/ids.h"
#include "cpu/int8/expand_nm.h"
#include "cpu/int8/int4.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<ExpandNmKernel> expand_nm_kernels("expand_nm", {
#if TERSOR_X86
  {"expand_nm_avx512", Isa::avx512, expand_nm_avx512}, {"expand_nm_avx2", Isa::avx2, expand_nm_avx2},
#elif TERSOR_ARM
  {"expand_nm_neon", Isa::neon, expand_nm_neon},
#endif
      {"expand_nm_scalar", Isa::scalar, expand_nm_scalar},
});

namespace {

// The column at which the row's first group with more than `keep` nonzeros begins, or -1.
int64_t crowded_group(const int8_t* row, int64_t columns, int64_t keep, int64_t group) {
  for (int64_t column = 0; column < columns; column += group) {
    int64_t nonzeros = 0;
    for (int64_t k = column; k < std::min(column + group, columns); ++k) nonzeros += row[k] != 0;
    if (nonzeros > keep) return column;
  }
  return -1;
}

// The column of the row's first number that four bits do not hold, or -1.
int64_t too_large(const int8_t* row, int64_t columns) {
  for (int64_t k = 0; k < columns; ++k) {
    if (row[k] < -8 || row[k] > 7) return k;
  }
  return -1;
}

// A tile of zeros.
void clear_tile(const PackedNmInt8& w, uint8_t* tile) {
  std::memset(tile, 0, static_cast<size_t>(w.tile_bytes()));
  if (w.bits == 8) return;
  const auto value_bytes = static_cast<size_t>(w.half_bytes() - w.mask_bytes());
  uint8_t* values = tile + kInt8SumBytes + w.mask_bytes();
  for (int64_t half = 0; half < 2 * w.eights(); ++half, values += w.half_bytes()) {
    std::memset(values, kInt4Zeros, value_bytes);
  }
}

// Puts row `i` of a tile of zeros where its masks and values go.
void pack_row(const PackedNmInt8& w, const int8_t* row, int64_t i, uint8_t* tile) {
  if (w.held == kInt8Depth) {
    for (int64_t k = 0; k < w.columns; ++k) {
      set_int4(tile + kInt8SumBytes, k / kInt8Depth * kInt8StepBytes + i * kInt8Depth + k % kInt8Depth, row[k]);
    }
    return;
  }
  const int64_t half_bytes = w.half_bytes(), line = i % kNmInt8HalfRows;
  uint8_t* first = tile + kInt8SumBytes + i / kNmInt8HalfRows * half_bytes;
  for (int64_t k = 0; k < w.columns; ++k) {
    if (row[k] == 0) continue;
    const int64_t step = k / kInt8Depth % kNmInt8Steps;
    uint8_t* half = first + k / (kInt8Depth * kNmInt8Steps) * 2 * half_bytes;
    uint32_t& mask = reinterpret_cast<uint32_t*>(half)[line];
    mask |= 1u << (nm_mask_shift(step) + k % kInt8Depth);
    uint8_t* values = half + w.mask_bytes();
    const int64_t place = w.place(step, line) + std::popcount(mask >> nm_mask_shift(step) & 15u) - 1;
    if (w.bits == 4) {
      set_int4(values, place, row[k]);
    } else {
      values[place] = static_cast<uint8_t>(row[k]);
    }
  }
}

}  // namespace

PackedNmInt8 packed_nm_int8(const tersor_nm& w) {
  return {data_of<const uint8_t>(&w.packed), w.rows, w.cols, nm_held(w.keep, w.group), w.bits};
}

int64_t nm_int8_bytes(int64_t rows, int64_t columns, int32_t keep, int32_t group, int32_t bits) {
  const PackedNmInt8 w = {nullptr, rows, columns, nm_held(keep, group), bits};
  int64_t bytes;
  return __builtin_mul_overflow(w.tiles(), w.tile_bytes(), &bytes) ? std::numeric_limits<int64_t>::max() : bytes;
}

tersor_status pack_nm_int8(tersor_context* context, const tersor_tensor* dense, int32_t keep, int32_t group,
                           int32_t bits, const tersor_tensor* packed) {
  const PackedNmInt8 w = {nullptr, rows_of(dense), columns_of(dense), nm_held(keep, group), bits};
  const auto* from = data_of<const int8_t>(dense);
  FirstPlace crowded, large;
  tersor_status status = for_chunks(context, w.rows, row_grain(w.columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t column = crowded_group(from + row * w.columns, w.columns, keep, group);
      if (column >= 0) crowded.report(row * w.columns + column);
      const int64_t wide = bits == 4 ? too_large(from + row * w.columns, w.columns) : -1;
      if (wide >= 0) large.report(row * w.columns + wide);
    }
  });
  if (status != TERSOR_OK) return status;
  if (large.found()) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected -8..7, which 4 bits hold, got %d, at w[%lld, %lld]",
                from[large.place()], static_cast<long long>(large.place() / w.columns),
                static_cast<long long>(large.place() % w.columns));
  }
  if (crowded.found()) {
    return fail(context, TERSOR_INVALID_ARGUMENT,
                "expected at most %d nonzeros of %d columns, got more, at w[%lld, %lld]", keep, group,
                static_cast<long long>(crowded.place() / w.columns),
                static_cast<long long>(crowded.place() % w.columns));
  }
  if (w.is_dense()) return pack_int8(context, dense, packed);
  return for_chunks(context, w.tiles(), row_grain(4 * kInt8Columns * w.columns), [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      uint8_t* to = data_of<uint8_t>(packed) + tile * w.tile_bytes();
      clear_tile(w, to);
      for (int64_t i = 0; i < std::min(kInt8Columns, w.rows - tile * kInt8Columns); ++i) {
        const int8_t* row = from + (tile * kInt8Columns + i) * w.columns;
        uint32_t sum = 0;  // of numbers of any length: a sum that does not fit is never used
        for (int64_t k = 0; k < w.columns; ++k) sum += static_cast<uint32_t>(row[k]);
        std::memcpy(to + i * 4, &sum, 4);
        pack_row(w, row, i, to);
      }
    }
  });
}

tersor_status unpack_nm_int8(tersor_context* context, const tersor_nm* weight, const tersor_tensor* ids,
                             const tersor_tensor* y) {
  if (ids != nullptr) {
    if (const tersor_status status = check_ids(context, ids, weight->rows); status != TERSOR_OK) return status;
  }
  const PackedNmInt8 w = packed_nm_int8(*weight);
  const auto* id = ids == nullptr ? nullptr : data_of<const int32_t>(ids);
  return for_chunks(context, rows_of(y), row_grain(kInt8Columns * w.columns), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = id == nullptr ? i : id[i], tile = row / kInt8Columns;
      int8_t* to = data_of<int8_t>(y) + i * w.columns;
      alignas(64) int8_t steps[kNmInt8Steps * kInt8StepBytes];
      for (int64_t column = 0; column < w.columns; column += kNmInt8Steps * kInt8Depth) {
        const int64_t step = column / kInt8Depth;
        const int8_t* from = steps;
        if (w.is_dense()) {
          from = w.dense().step(tile, step);
        } else {
          expand_nm_kernels.best()(w.eight(tile, step / kNmInt8Steps), 1, w.held, w.bits, steps);
        }
        from += row % kInt8Columns * kInt8Depth;
        for (int64_t k = column; k < std::min(column + kNmInt8Steps * kInt8Depth, w.columns); k += kInt8Depth) {
          const auto count = static_cast<size_t>(std::min(kInt8Depth, w.columns - k));
          std::memcpy(to + k, from + (k - column) / kInt8Depth * kInt8StepBytes, count);
        }
      }
    }
  });
}

}  // namespace tersor::cpu
