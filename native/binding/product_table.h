// Product codes and their centroids among a call's arguments.
#pragma once

#include <string>

#include "binding/arguments.h"

namespace tersor::binding {

inline constexpr DTypes kProductCodes = set_of({TERSOR_U8, TERSOR_U4});

// f32 [subspaces, 256 or 16, width], none of them 0.
inline Operand read_centroids(Arguments& in) {
  const Operand centroids = in.input("centroids", kF32, 3);
  const int64_t count = centroids.dim(1);
  if ((count == 256 || count == 16) && centroids.dim(0) > 0 && centroids.dim(2) > 0) return centroids;
  in.fail(TERSOR_INVALID_SHAPE, "expected centroids of shape [subspaces, 256 or 16, width], got [" +
                                    std::to_string(centroids.dim(0)) + ", " + std::to_string(count) + ", " +
                                    std::to_string(centroids.dim(2)) + "]");
}

inline int64_t columns_of(const Operand& centroids) { return centroids.dim(0) * centroids.dim(2); }

// Codes [rows, subspaces] of the type that counts as many centroids.
inline void expect_codes(const Arguments& in, const Operand& codes, int64_t rows, const Operand& centroids) {
  const tersor_dtype wanted = centroids.dim(1) == 256 ? TERSOR_U8 : TERSOR_U4, got = codes.tensor().dtype;
  if (got != wanted) {
    in.fail(TERSOR_INVALID_DTYPE, std::string("expected codes of ") + name_of(wanted) + " for " +
                                      std::to_string(centroids.dim(1)) + " centroids, got " + name_of(got));
  }
  in.expect_shape(codes, {rows, centroids.dim(0)}, {centroids});
}

}  // namespace tersor::binding
