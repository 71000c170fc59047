#include "cpu/sparse/csr_gemm.h"

#include <algorithm>
#include <limits>
#include <type_traits>

#include "cpu/epilogue/epilogue.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "cpu/sparse/csr_check.h"
#include "cpu/sparse/transpose.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<CsrKernelF32> csr_f32_kernels("csr_gemm", {
#if TERSOR_X86
  {"csr_f32_avx512", Isa::avx512, csr_f32_avx512}, {"csr_f32_avx2", Isa::avx2, csr_f32_avx2},
#endif
      {"csr_f32_scalar", Isa::scalar, csr_f32_scalar},
});

const KernelList<CsrKernelI8> csr_i8_kernels("csr_gemm_int8", {
#if TERSOR_X86
  {"csr_i8_avx512", Isa::avx512, csr_i8_avx512}, {"csr_i8_avx2", Isa::avx2, csr_i8_avx2},
#endif
      {"csr_i8_scalar", Isa::scalar, csr_i8_scalar},
});

namespace {

constexpr int64_t kBlock = 64;                       // weight rows per unit of work
constexpr int64_t kFewestForTile = 4;                // fewer activations than this are taken one by one
constexpr int64_t kScratchBytes = int64_t{4} << 20;  // of activations transposed at a time
constexpr int64_t kProductsPerChunk = int64_t{1} << 19;
constexpr int64_t kGatherCost = 8;  // a gathered product takes as long as this many in a tile

// 32-bit sums of u8 x i8 products are exact up to this many.
constexpr int64_t kExactRow = std::numeric_limits<int32_t>::max() / (255 * 128);

// What turns the exact sums of weight row n for `lanes` activations into f32: the same operations in the same order as
// in the dense int8 product, so that both give the same bits.
struct Int8Scaling {
  float input_scale;
  uint32_t input_zero_point;
  const float* scales;
  int64_t scale_step;  // 0 when all rows share one scale
  const int32_t* row_sums;

  void operator()(int64_t n, int64_t lanes, const int32_t* sums, float* outputs) const {
    const uint32_t offset = input_zero_point * static_cast<uint32_t>(row_sums[n]);
    const float factor = input_scale * scales[n * scale_step];
    for (int64_t i = 0; i < lanes; ++i) {
      const auto exact = static_cast<int32_t>(static_cast<uint32_t>(sums[i]) - offset);
      outputs[i] = static_cast<float>(exact) * factor;
    }
  }
};

struct NoScaling {
  void operator()(int64_t, int64_t lanes, const float* sums, float* outputs) const {
    std::copy(sums, sums + lanes, outputs);
  }
};

// y = epilogue(x * w^T). Activations are taken 16 side by side, transposed so that a nonzero of w meets one contiguous
// row; a few activations are taken alone, and gathered from.
template <typename Value, typename Element, typename Word, typename Scaling>
class CsrProduct {
 public:
  using Kernel = void(const Csr<Value>&, const Word*, int64_t, int64_t, int64_t, Word*);

  CsrProduct(Kernel* kernel, const tersor_tensor* x, const tersor_csr* w, const Scaling& scaling,
             const tersor_epilogue* epilogue, const tersor_tensor* y)
      : kernel_(kernel),
        w_{data_of<const uint32_t>(&w->row_offsets), data_of<const uint32_t>(&w->columns),
           data_of<const Value>(&w->values)},
        x_(data_of<const Element>(x)),
        y_(data_of<float>(y)),
        scaling_(scaling),
        epilogue_(make_epilogue(epilogue, w->rows)),
        m_(rows_of(x)),
        n_(w->rows),
        k_(w->cols),
        lanes_(m_ < kFewestForTile ? 1 : kCsrTile) {
    const int64_t nonzeros_per_block = elements_of(&w->columns) * kBlock / std::max<int64_t>(1, n_) + kBlock;
    grain_ = std::max<int64_t>(1, kProductsPerChunk / (nonzeros_per_block * (lanes_ == 1 ? kGatherCost : lanes_)));
  }

  tersor_status run(tersor_context* context) const {
    if (m_ == 0 || n_ == 0) return TERSOR_OK;
    const int64_t tile_words = std::max<int64_t>(1, k_ * lanes_);
    const int64_t tiles = (m_ + lanes_ - 1) / lanes_;
    const bool in_place = std::is_same_v<Element, Word> && lanes_ == 1;
    const int64_t at_once =
        std::clamp<int64_t>(kScratchBytes / (tile_words * static_cast<int64_t>(sizeof(Word))), 1, tiles);
    void* memory = nullptr;
    if (!in_place) {
      const auto bytes = static_cast<size_t>(at_once * tile_words) * sizeof(Word);
      if (const tersor_status status = scratch(context, bytes, &memory); status != TERSOR_OK) return status;
    }
    for (int64_t first = 0; first < tiles; first += at_once) {
      const int64_t count = std::min(at_once, tiles - first);
      const Word* turned = static_cast<const Word*>(memory);
      tersor_status status = TERSOR_OK;
      if constexpr (std::is_same_v<Element, Word>) {
        if (in_place) turned = x_ + first * k_;
      }
      if (!in_place) status = turn(context, first, count, static_cast<Word*>(memory));
      if (status == TERSOR_OK) status = multiply(context, first, count, turned);
      if (status != TERSOR_OK) return status;
    }
    return TERSOR_OK;
  }

 private:
  int64_t rows_in_tile(int64_t tile) const { return std::min(lanes_, m_ - tile * lanes_); }

  // Lays out the activations of tiles [first, first + count).
  tersor_status turn(tersor_context* context, int64_t first, int64_t count, Word* turned) const {
    return for_chunks(context, count, row_grain(k_ * lanes_), [&](int64_t begin, int64_t end) {
      for (int64_t tile = begin; tile < end; ++tile) {
        const Element* from = x_ + (first + tile) * lanes_ * k_;
        Word* to = turned + tile * lanes_ * k_;
        if (lanes_ == 1) {
          for (int64_t k = 0; k < k_; ++k) to[k] = static_cast<Word>(from[k]);
        } else {
          transpose_tile(from, rows_in_tile(first + tile), k_, to);
        }
      }
    });
  }

  tersor_status multiply(tersor_context* context, int64_t first, int64_t count, const Word* turned) const {
    const int64_t blocks = (n_ + kBlock - 1) / kBlock;
    return for_chunks(context, count * blocks, grain_, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t tile = i / blocks, n_begin = i % blocks * kBlock;
        multiply_block(first + tile, turned + tile * lanes_ * k_, n_begin, std::min(n_, n_begin + kBlock));
      }
    });
  }

  void multiply_block(int64_t tile, const Word* turned, int64_t n_begin, int64_t n_end) const {
    Word sums[kBlock * kCsrTile];
    float outputs[kBlock * kCsrTile];
    kernel_(w_, turned, lanes_, n_begin, n_end, sums);
    const int64_t block_rows = n_end - n_begin;
    for (int64_t j = 0; j < block_rows; ++j) {
      scaling_(n_begin + j, lanes_, sums + j * lanes_, outputs + j * lanes_);
    }
    const int64_t rows = rows_in_tile(tile);
    for (int64_t i = 0; i < rows; ++i) {
      float* to = y_ + (tile * lanes_ + i) * n_ + n_begin;
      for (int64_t j = 0; j < block_rows; ++j) to[j] = outputs[j * lanes_ + i];
    }
    if (epilogue_.is_identity()) return;
    const EpilogueTile done = {tile * lanes_, rows, n_begin, block_rows};
    apply_epilogue(epilogue_, done, y_ + done.row * n_ + n_begin, n_, y_);
  }

  Kernel* kernel_;
  Csr<Value> w_;
  const Element* x_;
  float* y_;
  Scaling scaling_;
  Epilogue epilogue_;
  int64_t m_, n_, k_, lanes_, grain_;
};

}  // namespace

tersor_status csr_gemm_with(CsrKernelF32* kernel, tersor_context* context, const tersor_tensor* x, const tersor_csr* w,
                            const tersor_epilogue* epilogue, const tersor_tensor* y) {
  if (const tersor_status status = check_csr(context, w, std::numeric_limits<int32_t>::max()); status != TERSOR_OK) {
    return status;
  }
  return CsrProduct<float, float, float, NoScaling>(kernel, x, w, {}, epilogue, y).run(context);
}

tersor_status csr_gemm_int8_with(CsrKernelI8* kernel, tersor_context* context, const tersor_tensor* x,
                                 const tersor_csr* w, const tersor_int8_epilogue* e, const tersor_tensor* y) {
  if (const tersor_status status = check_csr(context, w, kExactRow); status != TERSOR_OK) return status;
  const Int8Scaling scaling{e->input_scale, static_cast<uint32_t>(e->input_zero_point), data_of<const float>(e->scales),
                            elements_of(e->scales) == 1 ? 0 : 1, data_of<const int32_t>(e->row_sums)};
  return CsrProduct<int8_t, uint8_t, int32_t, Int8Scaling>(kernel, x, w, scaling, &e->after, y).run(context);
}

tersor_status csr_gemm(tersor_context* context, const tersor_tensor* x, const tersor_csr* w,
                       const tersor_epilogue* epilogue, const tersor_tensor* y) {
  return csr_gemm_with(csr_f32_kernels.best(), context, x, w, epilogue, y);
}

tersor_status csr_gemm_int8(tersor_context* context, const tersor_tensor* x, const tersor_csr* w,
                            const tersor_int8_epilogue* epilogue, const tersor_tensor* y) {
  return csr_gemm_int8_with(csr_i8_kernels.best(), context, x, w, epilogue, y);
}

}  // namespace tersor::cpu
