#include "cpu/epilogue/epilogue.h"

#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<EpilogueKernel> epilogue_kernels("epilogue", {
#if TERSOR_X86
  {"epilogue_avx512", Isa::avx512, epilogue_avx512}, {"epilogue_avx2", Isa::avx2, epilogue_avx2},
#endif
      {"epilogue_scalar", Isa::scalar, epilogue_scalar},
});

Epilogue make_epilogue(const tersor_epilogue* epilogue, int64_t columns) {
  if (epilogue == nullptr) return {nullptr, nullptr, TERSOR_IDENTITY, columns};
  const auto optional = [](const tersor_tensor* tensor) {
    return tensor == nullptr ? nullptr : data_of<const float>(tensor);
  };
  return {optional(epilogue->bias), optional(epilogue->residual), epilogue->activation, columns};
}

}  // namespace tersor::cpu
