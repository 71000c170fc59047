#include "cpu/sparse/nm_gemm.h"

#include <algorithm>
#include <cstring>

#include "cpu/operations.h"
#include "cpu/own_copies.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<NmKernel> nm_gemm_kernels("nm_gemm", {
#if TERSOR_X86
  {"nm_gemm_avx512", Isa::avx512, nm_gemm_avx512}, {"nm_gemm_avx2", Isa::avx2, nm_gemm_avx2},
#elif TERSOR_ARM
  {"nm_gemm_neon", Isa::neon, nm_gemm_neon},
#endif
      {"nm_gemm_scalar", Isa::scalar, nm_gemm_scalar},
});

namespace {

constexpr int64_t kProductsPerChunk = int64_t{1} << 19;
constexpr int64_t kReadingCost = 3;

class NmRun {
 public:
  NmRun(const NmProduct& product, const NmTiles& tiles)
      : product_(product), w_(product.w), tiles_(tiles), chunks_(w_.chunks()), panels_(w_.panels()) {}

  tersor_status run(tersor_context* context) const {
    const int64_t m = product_.m;
    if (m == 0 || w_.rows == 0) return TERSOR_OK;
    const int64_t rest = m % tiles_.lanes;
    const int64_t turned = chunks_ == 0 ? 0 : rest >= tiles_.fewest_turned ? m : m - rest;
    if (const tersor_status status = run_turned(context, turned); status != TERSOR_OK) return status;
    return run_chosen(context, turned);
  }

 private:
  NmChunks chunks_of(int64_t panel, int64_t first, int64_t count) const {
    const uint8_t* data = w_.data + panel * w_.panel_bytes() + first * w_.chunk_bytes();
    return {data, count, w_.places(), w_.choice_words(), data + w_.panel_bytes()};
  }

  // Columns of chunk `chunk` that there are.
  int64_t columns_of_chunk(int64_t chunk) const {
    return std::min(w_.chunk_columns(), w_.columns - chunk * w_.chunk_columns());
  }

  EpilogueTile outputs(int64_t row, int64_t rows, int64_t panel) const {
    return {row, rows, panel * kNmRows, std::min(kNmRows, w_.rows - panel * kNmRows)};
  }

  // --- rows of x [0, end) turned, a tile of `lanes` at a time --------------------------------------------------------

  static constexpr int64_t kMostPanels = 8;  // that a block of x is brought into L1 for
  static constexpr int64_t kMostLanes = 64;

  int64_t turned_floats() const { return chunks_ * kNmColumns * tiles_.lanes; }
  int64_t sums_floats() const { return kNmRows * tiles_.lanes; }

  tersor_status run_turned(tersor_context* context, int64_t end) const {
    if (end == 0) return TERSOR_OK;
    const OwnCopies copies(static_cast<size_t>(turned_floats()) * sizeof(float));
    const int64_t tiles = (end + tiles_.lanes - 1) / tiles_.lanes;
    // Fewer panels a task when there would be too few tasks for the threads.
    const int64_t group = std::clamp<int64_t>(panels_ / 4, 1, kMostPanels), groups = (panels_ + group - 1) / group;
    return for_chunks_with_memory(
        context, tiles * groups, 1,
        [&](int64_t task, int64_t) {
          const int64_t row = task / groups * tiles_.lanes, panel = task % groups * group;
          const void* x = copies.get(row, [&](void* to) { turn(row, end, static_cast<float*>(to)); });
          if (x == nullptr) return false;
          multiply_turned(row, end, panel, std::min(group, panels_ - panel), static_cast<const float*>(x));
          return true;
        },
        [&] {
          return fail(context, TERSOR_OUT_OF_MEMORY, "expected working memory for %lld rows, got none",
                      static_cast<long long>(tiles_.lanes));
        });
  }

  // Lays rows of x from `begin` on, to `end` at most, out as [chunk * 16 + column][lane].
  void turn(int64_t begin, int64_t end, float* turned) const {
    for (int64_t lane = 0; lane < tiles_.lanes; lane += 16) {
      const int64_t row = std::min(begin + lane, end);
      for (int64_t chunk = 0; chunk < chunks_; ++chunk) {
        const float* x = product_.x + (row == end ? 0 : row * w_.columns + chunk * w_.chunk_columns());
        tiles_.turn(x, w_.columns, std::min<int64_t>(16, end - row), columns_of_chunk(chunk),
                    turned + chunk * kNmColumns * tiles_.lanes + lane, tiles_.lanes);
      }
    }
  }

  void multiply_turned(int64_t row, int64_t end, int64_t first, int64_t count, const float* x) const {
    alignas(64) float sums[kMostPanels * kNmRows * kMostLanes];
    for (int64_t chunk = 0; chunk < chunks_; chunk += tiles_.turned_chunks) {
      const int64_t depth = std::min(tiles_.turned_chunks, chunks_ - chunk);
      for (int64_t j = 0; j < count; ++j) {
        tiles_.turned(chunks_of(first + j, chunk, depth), x + chunk * kNmColumns * tiles_.lanes, chunk > 0,
                      sums + j * sums_floats());
      }
    }
    for (int64_t j = 0; j < count; ++j) write_turned(first + j, row, end, sums + j * sums_floats());
  }

  void write_turned(int64_t panel, int64_t row, int64_t end, const float* sums) const {
    alignas(64) float back[16 * kNmRows];
    for (int64_t lane = 0; lane < tiles_.lanes && row + lane < end; lane += 16) {
      tiles_.turn(sums + lane, tiles_.lanes, kNmRows, 16, back, kNmRows);
      const EpilogueTile tile = outputs(row + lane, std::min<int64_t>(16, end - row - lane), panel);
      apply_epilogue(product_.epilogue, tile, back, kNmRows, product_.y);
    }
  }

  // --- rows of x from `begin` on chosen from -------------------------------------------------------------------------

  tersor_status run_chosen(tersor_context* context, int64_t begin) const {
    const int64_t rows = product_.m - begin;
    if (rows == 0) return TERSOR_OK;
    const int64_t row_floats = chunks_ * kNmColumns;
    void* memory;
    const tersor_status status = scratch(context, static_cast<size_t>(rows * row_floats) * 4, &memory);
    if (status != TERSOR_OK) return status;
    auto* x = static_cast<float*>(memory);
    for (int64_t i = 0; i < rows; i += tiles_.choose_rows) {
      lay_out(begin + i, std::min(tiles_.choose_rows, rows - i), x + i * row_floats);
    }
    // Reading a weight takes as long as some products with it.
    const int64_t products = std::max<int64_t>(1, (rows + kReadingCost) * chunks_ * w_.places() * kNmRows);
    const int64_t grain = std::max<int64_t>(1, kProductsPerChunk / products);
    return for_chunks(context, panels_, grain, [&](int64_t from, int64_t to) {
      alignas(64) float sums[16 * kNmRows];
      for (int64_t panel = from; panel < to; ++panel) {
        for (int64_t i = 0; i < rows; i += tiles_.choose_rows) {
          const int64_t count = std::min(tiles_.choose_rows, rows - i);
          tiles_.choose(chunks_of(panel, 0, chunks_), x + i * row_floats, count, sums);
          apply_epilogue(product_.epilogue, outputs(begin + i, count, panel), sums, kNmRows, product_.y);
        }
      }
    });
  }

  // Rows [row, row + rows) of x as [chunk][row][16].
  void lay_out(int64_t row, int64_t rows, float* to) const {
    for (int64_t chunk = 0; chunk < chunks_; ++chunk) {
      const int64_t columns = columns_of_chunk(chunk);
      const float* from = product_.x + row * w_.columns + chunk * w_.chunk_columns();
      for (int64_t i = 0; i < rows; ++i, from += w_.columns, to += kNmColumns) {
        if (columns == kNmColumns) {
          std::memcpy(to, from, kNmColumns * 4);
        } else {
          std::copy(from, from + columns, to);
          std::fill(to + columns, to + kNmColumns, 0.0f);
        }
      }
    }
  }

  const NmProduct& product_;
  const NmMatrix& w_;
  const NmTiles& tiles_;
  int64_t chunks_, panels_;
};

}  // namespace

tersor_status nm_gemm_tiled(tersor_context* context, const NmProduct& product, const NmTiles& tiles) {
  return NmRun(product, tiles).run(context);
}

tersor_status nm_gemm_with(NmKernel* kernel, tersor_context* context, const tersor_tensor* x, const tersor_nm* w,
                           const tersor_epilogue* epilogue, const tersor_tensor* y) {
  const NmProduct product = {.m = rows_of(x),
                             .x = data_of<const float>(x),
                             .w = {data_of<const uint8_t>(&w->packed), w->rows, w->cols, w->keep, w->group},
                             .epilogue = make_epilogue(epilogue, w->rows),
                             .y = data_of<float>(y)};
  return kernel(context, product);
}

tersor_status nm_gemm(tersor_context* context, const tersor_tensor* x, const tersor_nm* w,
                      const tersor_epilogue* epilogue, const tersor_tensor* y) {
  return nm_gemm_with(nm_gemm_kernels.best(), context, x, w, epilogue, y);
}

}  // namespace tersor::cpu
