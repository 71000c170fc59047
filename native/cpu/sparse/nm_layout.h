// How `pack_nm` lays an N:M weight out (see tersor_nm in backend/backend.h), for the kernels that read it.
//
// Columns are taken in chunks: as many whole groups of M as fit into 16 columns. Each row keeps the same number of
// places in every chunk, N per group, so that 16 rows (a panel) go side by side. A panel is its chunks, one after the
// other; a chunk is
//   choices  u32 [ceil(places / 8)][16]  four bits per place, lowest first: the column within the chunk
//   values   f32 [places][16]
// A place that a row does not need, past the last column, holds a 0 and points at a column of the chunk that is past
// the end, where kernels read a 0. Rows past the last are zeros.
#pragma once

#include <cstdint>

namespace tersor::cpu {

inline constexpr int64_t kNmRows = 16;     // rows of a panel
inline constexpr int64_t kNmColumns = 16;  // columns that a choice of four bits can name
inline constexpr int64_t kNmChoicesPerWord = 8;

// A packed weight [rows, columns] that keeps `keep` of every `group` columns.
struct NmMatrix {
  const uint8_t* data;
  int64_t rows, columns, keep, group;

  int64_t chunk_columns() const { return kNmColumns / group * group; }
  int64_t places() const { return kNmColumns / group * keep; }
  int64_t choice_words() const { return (places() + kNmChoicesPerWord - 1) / kNmChoicesPerWord; }
  int64_t chunks() const { return (columns + chunk_columns() - 1) / chunk_columns(); }
  int64_t panels() const { return (rows + kNmRows - 1) / kNmRows; }
  int64_t chunk_bytes() const { return (choice_words() + places()) * kNmRows * 4; }
  int64_t panel_bytes() const { return chunks() * chunk_bytes(); }
};

}  // namespace tersor::cpu
