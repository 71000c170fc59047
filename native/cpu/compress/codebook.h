// Codebooks: values that codes are the numbers of, times a scale for each group of columns.
#pragma once

#include "backend/backend.h"
#include "cpu/view.h"

namespace tersor::cpu {

// The scales alone, which are checked and found as those of codes are.
inline tersor_affine affine_of(const tersor_codebook& codebook) {
  return {.scales = codebook.scales,
          .zero_points = nullptr,
          .biases = nullptr,
          .code_min = 0,
          .code_max = static_cast<int32_t>(elements_of(codebook.values)) - 1,
          .group_size = codebook.group_size};
}

// That its values are finite and ascend.
tersor_status check_codebook(tersor_context* context, const tersor_codebook& codebook);

}  // namespace tersor::cpu
