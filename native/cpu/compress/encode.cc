#include "cpu/compress/encode.h"

namespace tersor::cpu {

const KernelList<EncodeKernel> encode_kernels("quantize", {
#if TERSOR_X86
  {"encode_avx512", Isa::avx512, encode_avx512}, {"encode_avx2", Isa::avx2, encode_avx2},
#endif
      {"encode_scalar", Isa::scalar, encode_scalar},
});

const KernelList<RangeKernel> range_kernels("range", {
#if TERSOR_X86
  {"range_avx512", Isa::avx512, range_avx512}, {"range_avx2", Isa::avx2, range_avx2},
#endif
      {"range_scalar", Isa::scalar, range_scalar},
});

Encoding u8_encoding(float scale, int32_t zero_point) {
  return {scale, 0.0f, static_cast<float>(-zero_point), static_cast<float>(255 - zero_point), zero_point};
}

}  // namespace tersor::cpu
