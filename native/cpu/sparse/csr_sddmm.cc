#include <algorithm>
#include <cstring>

#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "cpu/sparse/csr_activations.h"
#include "cpu/sparse/csr_check.h"
#include "cpu/sparse/csr_gemm.h"
#include "cpu/sparse/csr_layout.h"
#include "cpu/sparse/transpose.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<CsrSddmmKernel> csr_sddmm_kernels("csr_sddmm", {
#if TERSOR_X86
  {"csr_sddmm_avx512", Isa::avx512, csr_sddmm_avx512}, {"csr_sddmm_avx2", Isa::avx2, csr_sddmm_avx2},
#elif TERSOR_ARM
  {"csr_sddmm_neon", Isa::neon, csr_sddmm_neon},
#endif
      {"csr_sddmm_scalar", Isa::scalar, csr_sddmm_scalar},
});

namespace {

// values[place] = sum_m dy[m, row] * x[m, column] of every nonzero of a pattern.
class CsrSddmm {
 public:
  CsrSddmm(CsrSddmmKernel* kernel, const tersor_tensor* dy, const tersor_tensor* x, const tersor_packed_csr* pattern,
           const tersor_tensor* values)
      : kernel_(kernel),
        w_(pattern->packed.data),
        x_(w_, x),
        dy_(data_of<const float>(dy)),
        values_(data_of<float>(values)),
        nonzeros_(elements_of(values)) {}

  tersor_status run(tersor_context* context) const {
    std::fill(values_, values_ + nonzeros_, 0.0f);
    if (x_.count() == 0 || nonzeros_ == 0) return TERSOR_OK;
    const int64_t at_once = std::min(x_.planes(), kMostPlanes);
    for (int64_t first = 0; first < x_.planes(); first += at_once) {
      const tersor_status status = add_planes(context, first, std::min(at_once, x_.planes() - first));
      if (status != TERSOR_OK) return status;
    }
    return TERSOR_OK;
  }

 private:
  static constexpr int64_t kMostPlanes = 8;  // with which a chunk's sums are formed before they go to their places

  tersor_status add_planes(tersor_context* context, int64_t first, int64_t planes) const {
    const OwnCopies copies = x_.copies(planes);
    return for_chunks_with_memory(
        context, w_.header().chunks, 1,
        [&](int64_t c, int64_t) {
          tersor_context own{};
          const float* x = x_.laid_out(copies, first, planes);
          return x != nullptr && add_chunk(&own, c, first, planes, x) == TERSOR_OK;
        },
        [&] {
          return fail(context, TERSOR_OUT_OF_MEMORY,
                      "expected working memory for the gradients of %lld nonzeros, got none",
                      static_cast<long long>(nonzeros_));
        });
  }

  tersor_status add_chunk(tersor_context* context, int64_t c, int64_t first_plane, int64_t planes,
                          const float* x) const {
    const CsrChunk& chunk = w_.chunk(c);
    const int64_t slots_at = w_.slots_at(c), slots = (w_.end_of(c) - slots_at) / kCsrSlotBytes;
    const int64_t row_words = (chunk.rows + 1) * x_.widest() * kCsrLanes;
    void* memory = nullptr;
    const auto bytes = static_cast<size_t>(row_words + slots * kCsrLanes) * sizeof(float);
    if (const tersor_status status = chunk_scratch(context, bytes, &memory); status != TERSOR_OK) return status;
    auto* rows = static_cast<float*>(memory);
    float* sums = rows + row_words;
    std::fill(sums, sums + slots * kCsrLanes, 0.0f);
    x_.for_tiles(0, planes, [&](const CsrActivations<float>::Tile& tile) {
      turn(chunk, first_plane + tile.first, tile.planes, rows);
      const CsrBlock* blocks = w_.blocks(chunk);
      for (const CsrBlock* block = blocks; block != blocks + chunk.blocks; ++block) {
        kernel_(w_.groups(*block), block->groups, w_.data(), x + x_.place_of(tile, block->block), tile.planes,
                x_.plane_words(), rows, slots_at, sums);
      }
    });
    for (int64_t s = 0; s < slots; ++s) {
      uint32_t places[kCsrLanes];
      std::memcpy(places, w_.data() + slots_at + s * kCsrSlotBytes + kCsrSlotValues, sizeof places);
      for (int64_t i = 0; i < kCsrLanes; ++i) {
        const uint32_t place = places[i] - 1;
        if (place < nonzeros_) values_[place] += sums[s * kCsrLanes + i];
      }
    }
    return TERSOR_OK;
  }

  // The gradients of a chunk's rows, side by side for the activations of a tile, zero for those that do not exist.
  void turn(const CsrChunk& chunk, int64_t first_plane, int64_t planes, float* rows) const {
    const int64_t lanes = planes * kCsrLanes, first = first_plane * kCsrLanes, n = w_.header().rows;
    const int64_t count = std::min(lanes, x_.count() - first);
    if (count < lanes) std::fill(rows, rows + chunk.rows * lanes, 0.0f);
    std::fill(rows + chunk.rows * lanes, rows + (chunk.rows + 1) * lanes, 0.0f);
    transpose_kernels.best()(dy_ + first * n + chunk.row, n * static_cast<int64_t>(sizeof(float)), count, chunk.rows,
                             rows, lanes);
  }

  CsrSddmmKernel* kernel_;
  PackedCsr w_;
  CsrActivations<float> x_;
  const float* dy_;
  float* values_;
  int64_t nonzeros_;
};

}  // namespace

tersor_status csr_sddmm_with(CsrSddmmKernel* kernel, tersor_context* context, const tersor_tensor* dy,
                             const tersor_tensor* x, const tersor_packed_csr* pattern, const tersor_tensor* values) {
  if (const tersor_status status = check_packed(context, pattern, CsrWords::places); status != TERSOR_OK) return status;
  if (const tersor_status status = check_values(context, pattern, values); status != TERSOR_OK) return status;
  return CsrSddmm(kernel, dy, x, pattern, values).run(context);
}

tersor_status csr_sddmm(tersor_context* context, const tersor_tensor* dy, const tersor_tensor* x,
                        const tersor_packed_csr* pattern, const tersor_tensor* values) {
  return csr_sddmm_with(csr_sddmm_kernels.best(), context, dy, x, pattern, values);
}

}  // namespace tersor::cpu
