// Product codes: of each slice of a row's columns, the number of a centroid.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "cpu/view.h"

namespace tersor::cpu {

struct Centroids {
  const float* values;  // [subspaces][count][width]
  int64_t subspaces, count, width;

  explicit Centroids(const tersor_tensor* centroids)
      : values(data_of<const float>(centroids)),
        subspaces(centroids->shape[0]),
        count(centroids->shape[1]),
        width(centroids->shape[2]) {}

  int bits() const { return count == 256 ? 8 : 4; }
  int64_t columns() const { return subspaces * width; }
  const float* of(int64_t subspace, int64_t number) const { return values + (subspace * count + number) * width; }
};

// Of a row whose codes begin at `codes`.
template <int kBits>
int64_t code_at(const uint8_t* codes, int64_t subspace) {
  if constexpr (kBits == 8) return codes[subspace];
  return codes[subspace / 2] >> (subspace % 2 * 4) & 15;
}

}  // namespace tersor::cpu
