// Randomized SVD; operations.h has the one that chooses the kernels.
#pragma once

#include "backend/kernels.h"
#include "cpu/linalg/spectral_kernels.h"
#include "cpu/operations.h"

namespace tersor::cpu {

extern const KernelList<SpectralKernel> spectral_kernels;

}  // namespace tersor::cpu
