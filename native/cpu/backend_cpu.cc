#include "cpu/backend_cpu.h"

#include "cpu/operations.h"

namespace {

constexpr tersor_backend kBackend = {
    .abi = TERSOR_BACKEND_ABI,
    .name = "cpu",
    .allocate = tersor::cpu::allocate,
    .release = tersor::cpu::release,
    .upload = tersor::cpu::upload,
    .download = tersor::cpu::download,
    .copy = tersor::cpu::copy,
    .fill = tersor::cpu::fill,
    .cast = tersor::cpu::cast,
    .random_uniform = tersor::cpu::random_uniform,
    .random_normal = tersor::cpu::random_normal,
    .gemm = tersor::cpu::gemm,
    .packed_elements = tersor::cpu::packed_elements,
    .pack_gemm = tersor::cpu::pack_gemm,
    .gemm_packed = tersor::cpu::gemm_packed,
    .gemm_int8 = tersor::cpu::gemm_int8,
    .quantized_bytes = tersor::cpu::quantized_bytes,
    .pack_quantized = tersor::cpu::pack_quantized,
    .gemm_quantized = tersor::cpu::gemm_quantized,
    .csr_packed_bytes = tersor::cpu::csr_packed_bytes,
    .pack_csr = tersor::cpu::pack_csr,
    .csr_gemm = tersor::cpu::csr_gemm,
    .csr_gemm_int8 = tersor::cpu::csr_gemm_int8,
    .svd = tersor::cpu::svd,
    .relu = tersor::cpu::relu,
    .scale = tersor::cpu::scale,
    .binary = tersor::cpu::binary,
    .reduce = tersor::cpu::reduce,
    .copy_columns = tersor::cpu::copy_columns,
    .softmax = tersor::cpu::softmax,
    .cross_entropy = tersor::cpu::cross_entropy,
    .distillation = tersor::cpu::distillation,
    .gather = tersor::cpu::gather,
    .scatter_add = tersor::cpu::scatter_add,
    .fuse_rows = tersor::cpu::fuse_rows,
    .embedding_bag = tersor::cpu::embedding_bag,
    .embedding_bag_gradient = tersor::cpu::embedding_bag_gradient,
    .quantize = tersor::cpu::quantize,
    .dequantize = tersor::cpu::dequantize,
    .fake_quantize = tersor::cpu::fake_quantize,
    .gptq = tersor::cpu::gptq,
    .fake_quantize_gradient = tersor::cpu::fake_quantize_gradient,
    .min_max = tersor::cpu::min_max,
    .clip_range = tersor::cpu::clip_range,
    .magnitude_threshold = tersor::cpu::magnitude_threshold,
    .magnitude_mask = tersor::cpu::magnitude_mask,
    .sgd_step = tersor::cpu::sgd_step,
    .adam_step = tersor::cpu::adam_step,
};

}  // namespace

const tersor_backend* tersor_cpu_backend() { return &kBackend; }
