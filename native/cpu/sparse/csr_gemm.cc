#include "cpu/sparse/csr_gemm.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <type_traits>

#include "cpu/epilogue/epilogue.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "cpu/sparse/csr_layout.h"
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
  {"csr_i8_avx512vnni", Isa::avx512_vnni, csr_i8_avx512vnni}, {"csr_i8_avx2", Isa::avx2, csr_i8_avx2},
#endif
      {"csr_i8_scalar", Isa::scalar, csr_i8_scalar},
});

const KernelList<TransposeKernel> transpose_kernels("transpose", {
#if TERSOR_X86
  {"transpose_avx512", Isa::avx512, transpose_avx512},
#endif
      {"transpose_scalar", Isa::scalar, transpose_scalar},
});

namespace {

constexpr int64_t kMostPlanes = 8;                    // of 16 activations, for which a chunk's sums fit the L2 cache
constexpr int64_t kScratchBytes = int64_t{8} << 20;   // of activations laid out at a time
constexpr int64_t kBlockWords = 4 * 128 * kCsrLanes;  // of a block's activations, which fit the L1 cache
constexpr int64_t kFewestChunks = 4;                  // when there are fewer, activations are shared out too
constexpr int64_t kUnitsPerTask = int64_t{1} << 15;   // a unit of w for one plane is half a nanosecond
constexpr int64_t kStrip = 64;                        // columns of y finished at a time

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

// y = epilogue(x * w^T), `kMostPlanes` planes of activations at a time.
template <typename Sums>
class CsrProduct {
 public:
  using Word = typename Sums::Word;

  CsrProduct(CsrKernel<Word>* kernel, const tersor_tensor* x, const tersor_packed_csr* w, const Sums& finish,
             const Epilogue& epilogue, const tersor_tensor* y)
      : kernel_(kernel),
        w_(data_of<const void>(&w->packed)),
        x_(data_of<const uint8_t>(x)),
        y_(data_of<float>(y)),
        finish_(finish),
        epilogue_(epilogue),
        m_(rows_of(x)),
        row_bytes_(row_bytes(x->dtype, columns_of(x))),
        plane_words_((w_.header().depth + 1) * kCsrLanes),
        widest_(kBlockWords / (w_.header().depth * kCsrLanes)) {}

  tersor_status run(tersor_context* context) const {
    if (m_ == 0 || w_.header().rows == 0) return TERSOR_OK;
    return m_ == 1 ? run_single(context) : run_planes(context);
  }

 private:
  // Planes [first, first + planes) of the activations that are taken at a time.
  struct Tile {
    int64_t first, planes;
  };

  int64_t blocks() const { return std::max<int64_t>(1, w_.block_count()); }
  int64_t depth() const { return w_.header().depth; }

  // Units of block b that columns of x stand for; the others of `depth` are zero.
  int64_t whole_units(int64_t b) const { return std::clamp<int64_t>(row_bytes_ / 4 - b * depth(), 0, depth()); }

  // --- one activation: x as it is, with a zero behind every block -------------------------------------------------
  tersor_status run_single(tersor_context* context) const {
    void* memory = nullptr;
    const size_t bytes = static_cast<size_t>(blocks() * (depth() + 1)) * sizeof(Word);
    if (const tersor_status status = scratch(context, bytes, &memory); status != TERSOR_OK) return status;
    auto* x = static_cast<Word*>(memory);
    std::memset(x, 0, bytes);
    for (int64_t b = 0; b < blocks(); ++b) {
      const int64_t begin = b * depth() * 4;
      std::memcpy(x + b * (depth() + 1), x_ + begin, static_cast<size_t>(std::min(depth() * 4, row_bytes_ - begin)));
    }
    return for_tasks(context, 1, 1, [&](const CsrChunk& chunk, int64_t, int64_t, Word* sums) {
      add_blocks(chunk, [&](const CsrBlock& block) {
        kernel_(w_.groups(block), block.groups, w_.data(), x + block.block * (depth() + 1), 0, 0, sums);
      });
      for (int64_t row = 0; row < chunk.rows; row += kStrip) {
        const int64_t column = chunk.row + row, width = std::min(kStrip, chunk.rows - row);
        float outputs[kStrip];
        apply_epilogue(epilogue_, {0, 1, column, width}, finish_(column, width, 1, sums + row, outputs), kStrip, y_);
      }
    });
  }

  // --- many: 16 side by side ----------------------------------------------------------------------------------------
  tersor_status run_planes(tersor_context* context) const {
    const int64_t bytes = blocks() * plane_words_ * static_cast<int64_t>(sizeof(Word));
    const int64_t most = std::clamp<int64_t>(kScratchBytes / bytes / widest_ * widest_, widest_, kMostPlanes);
    const int64_t all = (m_ + kCsrLanes - 1) / kCsrLanes;
    void* memory = nullptr;
    const tersor_status status = scratch(context, static_cast<size_t>(std::min(most, all) * bytes), &memory);
    if (status != TERSOR_OK) return status;
    for (int64_t plane = 0; plane < all; plane += most) {
      const tersor_status done = run_planes(context, plane, std::min(most, all - plane), static_cast<Word*>(memory));
      if (done != TERSOR_OK) return done;
    }
    return TERSOR_OK;
  }

  tersor_status run_planes(tersor_context* context, int64_t first_plane, int64_t planes, Word* x) const {
    const tersor_status status =
        for_chunks(context, planes * blocks(), row_grain(plane_words_), [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) lay_out(first_plane, planes, i / blocks(), i % blocks(), x);
        });
    if (status != TERSOR_OK) return status;
    return for_tasks(
        context, planes, w_.header().chunks < kFewestChunks ? widest_ : planes,
        [&](const CsrChunk& chunk, int64_t begin, int64_t end, Word* sums) {
          const int64_t rows = chunk.rows + 1;
          add_blocks(chunk, [&](const CsrBlock& block) {
            for_tiles(begin, end, [&](const Tile& tile) {
              kernel_(w_.groups(block), block.groups, w_.data(), x + place_of(tile, block.block), tile.planes,
                      plane_words_, sums + (tile.first - begin) * rows * kCsrLanes);
            });
          });
          for_tiles(begin, end, [&](const Tile& tile) {
            write(chunk, {first_plane + tile.first, tile.planes}, sums + (tile.first - begin) * rows * kCsrLanes);
          });
        });
  }

  // Tiles of 4, 2 and 1 planes, at most `widest_`, the same ones wherever a task begins.
  template <typename Body>
  void for_tiles(int64_t begin, int64_t end, Body&& body) const {
    int64_t planes = widest_;
    for (int64_t first = begin; first < end; first += planes) {
      while (planes > end - first) planes /= 2;
      body(Tile{first, planes});
    }
  }

  // Words from the start of the layout to block b of a tile: tile, block, plane, unit, lane.
  int64_t place_of(const Tile& tile, int64_t b) const {
    return (tile.first * blocks() + b * tile.planes) * plane_words_;
  }

  // Block b of one of `planes` planes, turned so that a unit's activations lie side by side.
  void lay_out(int64_t first_plane, int64_t planes, int64_t plane, int64_t b, Word* x) const {
    for_tiles(plane / widest_ * widest_, planes, [&](const Tile& tile) {
      if (plane < tile.first || plane >= tile.first + tile.planes) return;
      Word* to = x + place_of(tile, b) + (plane - tile.first) * plane_words_;
      const int64_t row = (first_plane + plane) * kCsrLanes, rows = std::min(kCsrLanes, m_ - row);
      const uint8_t* from = x_ + row * row_bytes_ + b * depth() * 4;
      const int64_t whole = whole_units(b);
      transpose_kernels.best()(from, row_bytes_, rows, whole, to, kCsrLanes);
      if (rows < kCsrLanes) {
        for (int64_t unit = 0; unit < whole; ++unit) {
          std::fill(to + unit * kCsrLanes + rows, to + (unit + 1) * kCsrLanes, Word{0});
        }
      }
      std::fill(to + whole * kCsrLanes, to + plane_words_, Word{0});
      const int64_t rest = std::min(depth() * 4, row_bytes_ - b * depth() * 4) - whole * 4;
      for (int64_t i = 0; i < rows && rest > 0; ++i) {
        std::memcpy(to + whole * kCsrLanes + i, from + i * row_bytes_ + whole * 4, static_cast<size_t>(rest));
      }
    });
  }

  // Turns a chunk's sums of a tile back and finishes them.
  void write(const CsrChunk& chunk, const Tile& tile, const Word* sums) const {
    const int64_t lanes = tile.planes * kCsrLanes, first = tile.first * kCsrLanes;
    const int64_t activations = std::min(lanes, m_ - first);
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

  // --- shared
  // ---------------------------------------------------------------------------------------------------------
  template <typename Body>
  void add_blocks(const CsrChunk& chunk, Body&& body) const {
    const CsrBlock* blocks = w_.blocks(chunk);
    for (const CsrBlock* block = blocks; block != blocks + chunk.blocks; ++block) body(*block);
  }

  // body(chunk, begin, end, sums) for every chunk and `at_once` of `planes` planes, in parallel; sums start at 0.
  template <typename Body>
  tersor_status for_tasks(tersor_context* context, int64_t planes, int64_t at_once, Body&& body) const {
    const CsrHeader& header = w_.header();
    const int64_t parts = (planes + at_once - 1) / at_once;
    const int64_t lanes = m_ == 1 ? 1 : std::min(at_once, planes) * kCsrLanes;
    const int64_t units_per_task = header.bytes / kCsrSlotBytes * kCsrLanes / header.chunks * std::min(at_once, planes);
    std::atomic<bool> out_of_memory{false};
    const tersor_status status = for_chunks(
        context, header.chunks * parts, std::max<int64_t>(1, kUnitsPerTask / std::max<int64_t>(1, units_per_task)),
        [&](int64_t begin, int64_t end) {
          tersor_context own{};
          void* sums = nullptr;
          const size_t bytes = static_cast<size_t>((header.most_rows + 1) * lanes) * sizeof(Word);
          if (chunk_scratch(&own, bytes, &sums) != TERSOR_OK) {
            out_of_memory = true;
            return;
          }
          for (int64_t i = begin; i < end; ++i) {
            const CsrChunk& chunk = w_.chunk(i / parts);
            const int64_t plane = i % parts * at_once;
            std::memset(sums, 0, static_cast<size_t>((chunk.rows + 1) * lanes) * sizeof(Word));
            body(chunk, plane, std::min(planes, plane + at_once), static_cast<Word*>(sums));
          }
        });
    if (status != TERSOR_OK || !out_of_memory) return status;
    return fail(context, TERSOR_OUT_OF_MEMORY, "expected working memory for the sums of %lld rows, got none",
                static_cast<long long>(header.most_rows));
  }

  CsrKernel<Word>* kernel_;
  PackedCsr w_;
  const uint8_t* x_;
  float* y_;
  Sums finish_;
  Epilogue epilogue_;
  int64_t m_, row_bytes_, plane_words_, widest_;
};

// The parts of a layout trust each other; what came from outside is only whether it is the right one.
tersor_status check_packed(tersor_context* context, const tersor_packed_csr* w, int64_t unit_columns) {
  const int64_t bytes = elements_of(&w->packed);
  if (bytes >= static_cast<int64_t>(sizeof(CsrHeader))) {
    const CsrHeader& header = PackedCsr(w->packed.data).header();
    if (header.magic == kCsrMagic && header.bytes == bytes && header.rows == w->rows && header.cols == w->cols &&
        header.unit_columns == unit_columns) {
      return TERSOR_OK;
    }
  }
  return fail(context, TERSOR_INVALID_ARGUMENT,
              "expected what pack_csr makes of a weight %s [%lld, %lld], got other bytes, at packed",
              unit_columns == 1 ? "f32" : "i8", static_cast<long long>(w->rows), static_cast<long long>(w->cols));
}

}  // namespace

tersor_status csr_gemm_with(CsrKernelF32* kernel, tersor_context* context, const tersor_tensor* x,
                            const tersor_packed_csr* w, const tersor_epilogue* epilogue, const tersor_tensor* y) {
  if (const tersor_status status = check_packed(context, w, 1); status != TERSOR_OK) return status;
  return CsrProduct<FloatSums>(kernel, x, w, {}, make_epilogue(epilogue, w->rows), y).run(context);
}

tersor_status csr_gemm_int8_with(CsrKernelI8* kernel, tersor_context* context, const tersor_tensor* x,
                                 const tersor_packed_csr* w, const tersor_int8_epilogue* e, const tersor_tensor* y) {
  if (const tersor_status status = check_packed(context, w, 4); status != TERSOR_OK) return status;
  const Int8Sums finish{e->input_scale, static_cast<uint32_t>(e->input_zero_point), data_of<const float>(e->scales),
                        elements_of(e->scales) == 1, data_of<const int32_t>(e->row_sums)};
  return CsrProduct<Int8Sums>(kernel, x, w, finish, make_epilogue(&e->after, w->rows), y).run(context);
}

tersor_status csr_gemm(tersor_context* context, const tersor_tensor* x, const tersor_packed_csr* w,
                       const tersor_epilogue* epilogue, const tersor_tensor* y) {
  return csr_gemm_with(csr_f32_kernels.best(), context, x, w, epilogue, y);
}

tersor_status csr_gemm_int8(tersor_context* context, const tersor_tensor* x, const tersor_packed_csr* w,
                            const tersor_int8_epilogue* epilogue, const tersor_tensor* y) {
  return csr_gemm_int8_with(csr_i8_kernels.best(), context, x, w, epilogue, y);
}

}  // namespace tersor::cpu
