#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "cpu/ids.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/sparse/nm_layout.h"

namespace tersor::cpu {
namespace {

// The places of one row in one group: columns of its chunk, ascending.
struct Places {
  uint32_t column[kNmColumns];
  float value[kNmColumns];
};

// Nonzeros of w[0, columns) first, then unused columns, the lowest first, up to `keep`; past the end of the row those
// columns hold zeros. False when there are more nonzeros.
bool place_group(const float* w, int64_t columns, int64_t keep, int64_t group, int64_t first, Places& places) {
  uint32_t kept = 0;
  for (int64_t j = 0; j < columns; ++j) kept |= w[j] != 0.0f ? 1u << j : 0u;
  if (std::popcount(kept) > keep) return false;
  // A short group has columns past the end: those stand for nothing, whatever x holds elsewhere.
  for (int64_t j = columns < group ? columns : 0; std::popcount(kept) < keep && j < group; ++j) kept |= 1u << j;
  for (int64_t j = 0; std::popcount(kept) < keep; ++j) kept |= 1u << j;
  for (int64_t s = 0; s < keep; ++s, kept &= kept - 1) {
    const int64_t j = std::countr_zero(kept);
    places.column[s] = static_cast<uint32_t>(first + j);
    places.value[s] = j < columns ? w[j] : 0.0f;
  }
  return true;
}

uint32_t& choice_at(uint8_t* chunk, int64_t place, int64_t row) {
  return reinterpret_cast<uint32_t*>(chunk)[place / kNmChoicesPerWord * kNmRows + row];
}

}  // namespace

int64_t nm_bytes(int64_t rows, int64_t columns, int32_t keep, int32_t group) {
  const NmMatrix w = {nullptr, rows, columns, keep, group};
  int64_t bytes;
  return __builtin_mul_overflow(w.panels(), w.panel_bytes(), &bytes) ? std::numeric_limits<int64_t>::max() : bytes;
}

tersor_status pack_nm(tersor_context* context, const tersor_tensor* dense, int32_t keep, int32_t group,
                      const tersor_tensor* packed) {
  const NmMatrix w = {nullptr, rows_of(dense), columns_of(dense), keep, group};
  const auto* from = data_of<const float>(dense);
  const int64_t places_per_chunk = w.places();
  FirstPlace crowded;
  const tersor_status status =
      for_chunks(context, w.panels(), row_grain(4 * kNmRows * w.columns), [&](int64_t begin, int64_t end) {
        for (int64_t panel = begin; panel < end; ++panel) {
          uint8_t* data = data_of<uint8_t>(packed) + panel * w.panel_bytes();
          std::memset(data, 0, static_cast<size_t>(w.panel_bytes()));
          for (int64_t chunk = 0; chunk < w.chunks(); ++chunk, data += w.chunk_bytes()) {
            auto* values = reinterpret_cast<float*>(data) + w.choice_words() * kNmRows;
            for (int64_t i = 0; i < std::min(kNmRows, w.rows - panel * kNmRows); ++i) {
              const int64_t row = panel * kNmRows + i;
              for (int64_t place = 0; place < places_per_chunk; place += keep) {
                const int64_t first = place / keep * group, column = chunk * w.chunk_columns() + first;
                const int64_t columns = std::clamp<int64_t>(w.columns - column, 0, group);
                Places places;
                if (!place_group(from + row * w.columns + (columns == 0 ? 0 : column), columns, keep, group, first,
                                 places)) {
                  crowded.report(row * w.columns + column);
                  continue;
                }
                for (int64_t s = 0; s < keep; ++s) {
                  const int64_t at = place + s;
                  choice_at(data, at, i) |= places.column[s] << (at % kNmChoicesPerWord * 4);
                  values[at * kNmRows + i] = places.value[s];
                }
              }
            }
          }
        }
      });
  if (status != TERSOR_OK || !crowded.found()) return status;
  return fail(context, TERSOR_INVALID_ARGUMENT,
              "expected at most %d nonzeros of %d columns, got more, at w[%lld, %lld]", keep, group,
              static_cast<long long>(crowded.place() / w.columns), static_cast<long long>(crowded.place() % w.columns));
}

tersor_status unpack_nm(tersor_context* context, const tersor_nm* weight, const tersor_tensor* ids,
                        const tersor_tensor* y) {
  if (ids != nullptr) {
    if (const tersor_status status = check_ids(context, ids, weight->rows); status != TERSOR_OK) return status;
  }
  const NmMatrix w = {data_of<const uint8_t>(&weight->packed), weight->rows, weight->cols, weight->keep, weight->group};
  const auto* id = ids == nullptr ? nullptr : data_of<const int32_t>(ids);
  return for_chunks(context, rows_of(y), row_grain(w.columns), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* to = data_of<float>(y) + i * w.columns;
      std::memset(to, 0, static_cast<size_t>(w.columns) * sizeof *to);
      const int64_t row = id == nullptr ? i : id[i];
      const uint8_t* data = w.data + row / kNmRows * w.panel_bytes();
      for (int64_t column = 0; column < w.columns; column += w.chunk_columns(), data += w.chunk_bytes()) {
        const auto* choices = reinterpret_cast<const uint32_t*>(data) + row % kNmRows;
        const auto* values = reinterpret_cast<const float*>(choices + w.choice_words() * kNmRows);
        for (int64_t s = 0; s < w.places(); ++s) {
          const uint32_t word = choices[s / kNmChoicesPerWord * kNmRows];
          const int64_t at = column + (word >> (s % kNmChoicesPerWord * 4) & 15);
          if (at < w.columns && values[s * kNmRows] != 0.0f) to[at] = values[s * kNmRows];
        }
      }
    }
  });
}

}  // namespace tersor::cpu
