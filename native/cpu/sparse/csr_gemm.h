// CSR products with the kernel named, for tests and benchmarks; operations.h has the ones that choose.
#pragma once

#include "backend/kernels.h"
#include "cpu/operations.h"
#include "cpu/sparse/csr_kernels.h"

namespace tersor::cpu {

extern const KernelList<CsrKernelF32> csr_f32_kernels;
extern const KernelList<CsrKernelI8> csr_i8_kernels;
extern const KernelList<CsrKernelI8> csr_i4_kernels;
extern const KernelList<CsrSddmmKernel> csr_sddmm_kernels;

tersor_status csr_gemm_with(CsrKernelF32* kernel, tersor_context*, const tersor_tensor* x, const tersor_packed_csr* w,
                            const tersor_epilogue*, const tersor_tensor* y);
// The kernel's values must be as long as the weight's.
tersor_status csr_gemm_int8_with(CsrKernelI8* kernel, tersor_context*, const tersor_tensor* x,
                                 const tersor_packed_csr* w, const tersor_int8_epilogue*, const tersor_tensor* y);

tersor_status csr_sddmm_with(CsrSddmmKernel* kernel, tersor_context*, const tersor_tensor* dy, const tersor_tensor* x,
                             const tersor_packed_csr* pattern, const tersor_tensor* values);

}  // namespace tersor::cpu
