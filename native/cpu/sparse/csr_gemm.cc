#include "cpu/sparse/csr_gemm.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "cpu/epilogue/epilogue.h"
#include "cpu/own_copies.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "cpu/sparse/csr_activations.h"
#include "cpu/sparse/csr_check.h"
#include "cpu/sparse/csr_layout.h"
#include "cpu/sparse/transpose.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<CsrKernelF32> csr_f32_kernels("csr_gemm", {
#if TERSOR_X86
  {"csr_f32_avx512", Isa::avx512, csr_f32_avx512}, {"csr_f32_avx2", Isa::avx2, csr_f32_avx2},
#elif TERSOR_ARM
  {"csr_f32_neon", Isa::neon, csr_f32_neon},
#endif
      {"csr_f32_scalar", Isa::scalar, csr_f32_scalar},
});

const KernelList<CsrKernelI8> csr_i8_kernels("csr_gemm_int8", {
#if TERSOR_X86
  {"csr_i8_avx512vnni", Isa::avx512_vnni, csr_i8_avx512vnni}, {"csr_i8_avx2", Isa::avx2, csr_i8_avx2},
#elif TERSOR_ARM
  {"csr_i8_neoni8mm", Isa::neon_i8mm, csr_i8_neoni8mm},
#endif
      {"csr_i8_scalar", Isa::scalar, csr_i8_scalar},
});

const KernelList<CsrKernelI8> csr_i4_kernels("csr_gemm_int4", {
#if TERSOR_X86
  {"csr_i4_avx512vnni", Isa::avx512_vnni, csr_i4_avx512vnni}, {"csr_i4_avx2", Isa::avx2, csr_i4_avx2},
#endif
      {"csr_i4_scalar", Isa::scalar, csr_i4_scalar},
});

const KernelList<TransposeKernel> transpose_kernels("transpose", {
#if TERSOR_X86
  {"transpose_avx512", Isa::avx512, transpose_avx512},
#endif
      {"transpose_scalar", Isa::scalar, transpose_scalar},
});

namespace {

constexpr int64_t kUnitsPerTask = int64_t{1} << 15;  // a unit of w for one plane is half a nanosecond
constexpr int64_t kStrip = 64;                       // columns of y finished at a time

// How sums become f32: as they are,
struct FloatSums {
  using Word = float;
  const float* operator()(int64_t, int64_t, int64_t, const float* sums, float*) const { return sums; }
};

// or scaled: the same operations in the same order as in the dense int8 product, so that both give the same bits.
struct Int8Sums {
  using Word = int32_t;
  float input_scale;
  uint32_t input_zero_point;
  const float* scales;
  bool one_scale;
  const int32_t* row_sums;

  // For rows [column, column + width) of w and `count` activations, kStrip apart.
  const float* operator()(int64_t column, int64_t width, int64_t count, const int32_t* sums, float* outputs) const {
    uint32_t offsets[kStrip];
    float factors[kStrip];
    for (int64_t j = 0; j < width; ++j) {
      // Unsigned: row sums that do not belong to w give a wrong number, not undefined behaviour.
      offsets[j] = input_zero_point * static_cast<uint32_t>(row_sums[column + j]);
      factors[j] = input_scale * scales[one_scale ? 0 : column + j];
    }
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t j = 0; j < width; ++j) {
        const auto exact = static_cast<int32_t>(static_cast<uint32_t>(sums[i * kStrip + j]) - offsets[j]);
        outputs[i * kStrip + j] = static_cast<float>(exact) * factors[j];
      }
    }
    return outputs;
  }
};

// y = epilogue(x * w^T).
template <typename Sums>
class CsrProduct {
 public:
  using Word = typename Sums::Word;

  CsrProduct(CsrKernel<Word>* kernel, const tersor_tensor* x, const tersor_packed_csr* w, const Sums& finish,
             const Epilogue& epilogue, const tersor_tensor* y)
      : kernel_(kernel), w_(w->packed.data), x_(w_, x), y_(data_of<float>(y)), finish_(finish), epilogue_(epilogue) {}

  tersor_status run(tersor_context* context) const {
    if (x_.count() == 0 || w_.header().rows == 0) return TERSOR_OK;
    return x_.count() == 1 ? run_single(context) : run_planes(context);
  }

 private:
  using Tile = typename CsrActivations<Word>::Tile;

  tersor_status run_single(tersor_context* context) const {
    const OwnCopies copies = x_.copies_of_single();
    return for_tasks(context, 1, [&](const CsrChunk& chunk, int64_t, int64_t, Word* sums) {
      const Word* x = x_.laid_out_single(copies);
      if (x == nullptr) return false;
      add_blocks(chunk, [&](const CsrBlock& block) {
        kernel_(w_.groups(block), block.groups, w_.data(), x + x_.place_in_single(block.block), 0, 0, sums);
      });
      for (int64_t row = 0; row < chunk.rows; row += kStrip) {
        const int64_t column = chunk.row + row, width = std::min(kStrip, chunk.rows - row);
        float outputs[kStrip];
        apply_epilogue(epilogue_, {0, 1, column, width}, finish_(column, width, 1, sums + row, outputs), kStrip, y_);
      }
      return true;
    });
  }

  tersor_status run_planes(tersor_context* context) const {
    const OwnCopies copies = x_.copies(at_once());
    return for_tasks(context, kCsrLanes, [&](const CsrChunk& chunk, int64_t first, int64_t planes, Word* sums) {
      const Word* x = x_.laid_out(copies, first, planes);
      if (x == nullptr) return false;
      const auto sums_of = [&](const Tile& tile) { return sums + tile.first * (chunk.rows + 1) * kCsrLanes; };
      add_blocks(chunk, [&](const CsrBlock& block) {
        x_.for_tiles(0, planes, [&](const Tile& tile) {
          kernel_(w_.groups(block), block.groups, w_.data(), x + x_.place_of(tile, block.block), tile.planes,
                  x_.plane_words(), sums_of(tile));
        });
      });
      x_.for_tiles(0, planes, [&](const Tile& tile) {
        write(chunk, {first + tile.first, tile.planes}, sums_of(tile));
      });
      return true;
    });
  }

  // Turns a chunk's sums of a tile back and finishes them.
  void write(const CsrChunk& chunk, const Tile& tile, const Word* sums) const {
    const int64_t lanes = tile.planes * kCsrLanes, first = tile.first * kCsrLanes;
    const int64_t activations = std::min(lanes, x_.count() - first);
    const int64_t sum_bytes = lanes * static_cast<int64_t>(sizeof(Word));
    TransposeKernel* transpose = transpose_kernels.best();
    if (std::is_same_v<Word, float> && epilogue_.is_identity()) {
      transpose(sums, sum_bytes, chunk.rows, activations, y_ + first * epilogue_.columns + chunk.row,
                epilogue_.columns);
      return;
    }
    alignas(64) Word turned[4 * kCsrLanes * kStrip];
    alignas(64) float outputs[4 * kCsrLanes * kStrip];
    for (int64_t row = 0; row < chunk.rows; row += kStrip) {
      const int64_t column = chunk.row + row, width = std::min(kStrip, chunk.rows - row);
      transpose(sums + row * lanes, sum_bytes, width, activations, turned, kStrip);
      const float* finished = finish_(column, width, activations, turned, outputs);
      apply_epilogue(epilogue_, {first, activations, column, width}, finished, kStrip, y_);
    }
  }

  // Planes that a task lays out and multiplies: with more it would read the weight from the L2 cache again all the
  // same.
  int64_t at_once() const { return std::min(x_.planes(), x_.widest()); }

  template <typename Body>
  void add_blocks(const CsrChunk& chunk, Body&& body) const {
    const CsrBlock* blocks = w_.blocks(chunk);
    for (const CsrBlock* block = blocks; block != blocks + chunk.blocks; ++block) body(*block);
  }

  // body(chunk, first plane, planes, sums) for every chunk and some planes of x, in parallel; sums start at 0, and
  // `lanes` of a plane are used. All chunks for the same planes follow each other: a thread lays few of them out.
  template <typename Body>
  tersor_status for_tasks(tersor_context* context, int64_t lanes, Body&& body) const {
    const CsrHeader& header = w_.header();
    const int64_t at_once = this->at_once(), parts = (x_.planes() + at_once - 1) / at_once;
    const int64_t units_per_task = header.bytes / header.slot_bytes() * kCsrLanes / header.chunks * at_once;
    return for_chunks_with_memory(
        context, parts * header.chunks, std::max<int64_t>(1, kUnitsPerTask / std::max<int64_t>(1, units_per_task)),
        [&](int64_t begin, int64_t end) {
          tersor_context own{};
          void* sums = nullptr;
          const size_t bytes = static_cast<size_t>((header.most_rows + 1) * at_once * lanes) * sizeof(Word);
          bool done = chunk_scratch(&own, bytes, &sums) == TERSOR_OK;
          for (int64_t i = begin; i < end && done; ++i) {
            const CsrChunk& chunk = w_.chunk(i % header.chunks);
            const int64_t first = i / header.chunks * at_once, planes = std::min(at_once, x_.planes() - first);
            std::memset(sums, 0, static_cast<size_t>((chunk.rows + 1) * planes * lanes) * sizeof(Word));
            done = body(chunk, first, planes, static_cast<Word*>(sums));
          }
          return done;
        },
        [&] {
          return fail(context, TERSOR_OUT_OF_MEMORY, "expected working memory for %lld activations, got none",
                      static_cast<long long>(x_.count()));
        });
  }

  CsrKernel<Word>* kernel_;
  PackedCsr w_;
  CsrActivations<Word> x_;
  float* y_;
  Sums finish_;
  Epilogue epilogue_;
};

// Of a weight that has been checked.
tersor_status multiply_int8(CsrKernelI8* kernel, tersor_context* context, const tersor_tensor* x,
                            const tersor_packed_csr* w, const tersor_int8_epilogue* e, const tersor_tensor* y) {
  const Int8Sums finish{e->input_scale, static_cast<uint32_t>(e->input_zero_point), data_of<const float>(e->scales),
                        elements_of(e->scales) == 1, data_of<const int32_t>(e->row_sums)};
  return CsrProduct<Int8Sums>(kernel, x, w, finish, make_epilogue(&e->after, w->rows), y).run(context);
}

}  // namespace

tersor_status csr_gemm_with(CsrKernelF32* kernel, tersor_context* context, const tersor_tensor* x,
                            const tersor_packed_csr* w, const tersor_epilogue* epilogue, const tersor_tensor* y) {
  if (const tersor_status status = check_packed(context, w, CsrWords::f32); status != TERSOR_OK) return status;
  return CsrProduct<FloatSums>(kernel, x, w, {}, make_epilogue(epilogue, w->rows), y).run(context);
}

tersor_status csr_gemm_int8_with(CsrKernelI8* kernel, tersor_context* context, const tersor_tensor* x,
                                 const tersor_packed_csr* w, const tersor_int8_epilogue* epilogue,
                                 const tersor_tensor* y) {
  if (const tersor_status status = check_packed(context, w, CsrWords::i8); status != TERSOR_OK) return status;
  return multiply_int8(kernel, context, x, w, epilogue, y);
}

tersor_status csr_gemm(tersor_context* context, const tersor_tensor* x, const tersor_packed_csr* w,
                       const tersor_epilogue* epilogue, const tersor_tensor* y) {
  return csr_gemm_with(csr_f32_kernels.best(), context, x, w, epilogue, y);
}

tersor_status csr_gemm_int8(tersor_context* context, const tersor_tensor* x, const tersor_packed_csr* w,
                            const tersor_int8_epilogue* epilogue, const tersor_tensor* y) {
  if (const tersor_status status = check_packed(context, w, CsrWords::i8); status != TERSOR_OK) return status;
  const bool is_short = PackedCsr(w->packed.data).header().words == CsrWords::i4;
  const auto& kernels = is_short ? csr_i4_kernels : csr_i8_kernels;
  return multiply_int8(kernels.best(), context, x, w, epilogue, y);
}

}  // namespace tersor::cpu
