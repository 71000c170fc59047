#include "cpu/linalg/tall.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/philox.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"

namespace tersor::cpu {

const KernelList<TallKernel> tall_kernels("tall", {
#if TERSOR_X86
  {"tall_avx512", Isa::avx512, tall_avx512}, {"tall_avx2", Isa::avx2, tall_avx2},
#elif TERSOR_ARM
  {"tall_neon", Isa::neon, tall_neon},
#endif
      {"tall_scalar", Isa::scalar, tall_scalar},
});

namespace {

constexpr int64_t kRows = 60;       // of a at a time, whole tiles: they stay in L2 between the two products
constexpr int64_t kMostChunks = 8;  // each with a sum of its own

constexpr int64_t kColumnsPerRow = 8;    // of a sketch that a row of a meets
constexpr int64_t kSketchColumns = 128;  // of a at a time
constexpr int64_t kGroupsTogether = 8;   // of rows, whose parts stay in L1
constexpr uint32_t kSketchStream = 2;    // third counter word of its draws, beside those of random tensors

int64_t blocks_of(int64_t m) { return (m + kRows - 1) / kRows; }
int64_t blocks_per_chunk(int64_t m) { return (blocks_of(m) + kMostChunks - 1) / kMostChunks; }

// Random numbers one after the other.
class Draws {
 public:
  Draws(uint64_t seed, uint32_t stream) : seed_(seed), stream_(stream) {}

  uint32_t operator()() {
    if (position_ % 4 == 0) {
      const uint64_t block = position_ / 4;
      words_ = philox4x32({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), stream_, 1},
                          static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32));
    }
    return words_[position_++ % 4];
  }

 private:
  const uint64_t seed_;
  const uint32_t stream_;
  uint64_t position_ = 0;
  PhiloxBlock words_{};
};

// For each group of rows and each column of a sketch: the row that the column meets, and by which sign.
struct Signs {
  std::vector<int64_t> rows;
  std::vector<float> factors;
};

Signs draw_signs(uint64_t seed, int64_t m, int64_t width) {
  const int64_t group = width / kColumnsPerRow, groups = (m + group - 1) / group;
  Signs signs{std::vector<int64_t>(static_cast<size_t>(groups * width)),
              std::vector<float>(static_cast<size_t>(groups * width))};
  Draws draw(seed, kSketchStream);
  std::vector<int64_t> order(static_cast<size_t>(width));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t g = 0; g < groups; ++g) {
    // Fisher & Yates: the first columns meet the first row, and so on.
    for (int64_t i = 0; i < width; ++i) {
      const uint32_t word = draw();
      const int64_t other = i + static_cast<int64_t>((uint64_t{word >> 1} * static_cast<uint64_t>(width - i)) >> 31);
      std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(other)]);
      const auto at = static_cast<size_t>(g * width + order[static_cast<size_t>(i)]);
      const int64_t row = g * group + i / kColumnsPerRow;
      signs.rows[at] = std::min(row, m - 1);
      signs.factors[at] = row >= m ? 0.0f : (word & 1) != 0 ? 1.0f : -1.0f;
    }
  }
  return signs;
}

}  // namespace

tersor_status TallMatrix::multiply(tersor_context* context, const float* x, int64_t width, Columns image) const {
  return for_chunks(context, blocks_of(m_), 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin * kRows; row < std::min(m_, end * kRows); row += kRows) {
      const int64_t rows = std::min(kRows, m_ - row);
      const float* next = row + kRows + rows <= m_ ? a_ + (row + kRows) * n_ : nullptr;
      kernels_.multiply(a_ + row * n_, next, rows, n_, x, width, width, image.data + row * image.stride, image.stride);
    }
  });
}

int64_t TallMatrix::normal_sums(int64_t width) const {
  const int64_t grain = blocks_per_chunk(m_), chunks = (blocks_of(m_) + grain - 1) / grain;
  return chunks * n_ * width;
}

tersor_status TallMatrix::multiply_normal(tersor_context* context, const float* x, int64_t width, float* z,
                                          Columns image, float* sums) const {
  const int64_t blocks = blocks_of(m_), grain = blocks_per_chunk(m_), chunks = (blocks + grain - 1) / grain;
  const auto multiply_chunk = [&](int64_t begin, int64_t end) {
    float* sum = sums + begin / grain * n_ * width;
    std::fill(sum, sum + n_ * width, 0.0f);
    Columns y = image;
    if (image.data == nullptr) {
      tersor_context own{};
      void* memory = nullptr;
      if (chunk_scratch(&own, static_cast<size_t>(kRows * width) * sizeof(float), &memory) != TERSOR_OK) return false;
      y = {static_cast<float*>(memory), width};
    }
    for (int64_t block = begin; block < end && !is_cancelled(context); ++block) {
      const int64_t row = block * kRows, rows = std::min(kRows, m_ - row);
      const float *a = a_ + row * n_, *next = row + kRows + rows <= m_ ? a + kRows * n_ : nullptr;
      float* part = image.data == nullptr ? y.data : y.data + row * y.stride;
      kernels_.multiply(a, next, rows, n_, x, width, width, part, y.stride);
      kernels_.multiply_transposed(a, rows, n_, part, y.stride, width, sum, width);
    }
    return true;
  };
  const tersor_status status = for_chunks_with_memory(context, blocks, grain, multiply_chunk, [&] {
    return fail(context, TERSOR_OUT_OF_MEMORY, "expected working memory, got none");
  });
  if (status != TERSOR_OK) return status;
  if (is_cancelled(context)) return cancelled(context);
  return for_chunks(context, n_ * width, kGrain / 4, [&](int64_t begin, int64_t end) {
    std::copy(sums + begin, sums + end, z + begin);
    for (int64_t chunk = 1; chunk < chunks; ++chunk) {
      const float* sum = sums + chunk * n_ * width;
      for (int64_t i = begin; i < end; ++i) z[i] += sum[i];
    }
  });
}

tersor_status TallMatrix::sketch(tersor_context* context, uint64_t seed, int64_t width, float* sketch,
                                 float* sums) const {
  const Signs signs = draw_signs(seed, m_, width);
  const int64_t group = width / kColumnsPerRow, groups = (m_ + group - 1) / group;
  // The sketch by rows first: sums [width, n].
  const tersor_status status =
      for_chunks(context, (n_ + kSketchColumns - 1) / kSketchColumns, 1, [&](int64_t chunk_begin, int64_t chunk_end) {
        const int64_t begin = chunk_begin * kSketchColumns, end = std::min(n_, chunk_end * kSketchColumns);
        for (int64_t j = 0; j < width; ++j) std::fill(sums + j * n_ + begin, sums + j * n_ + end, 0.0f);
        for (int64_t g = 0; g < groups && !is_cancelled(context); g += kGroupsTogether) {
          const int64_t count = std::min(kGroupsTogether, groups - g);
          for (int64_t j = 0; j < width; ++j) {
            const float* rows[kGroupsTogether];
            float factors[kGroupsTogether];
            for (int64_t i = 0; i < count; ++i) {
              const auto at = static_cast<size_t>((g + i) * width + j);
              rows[i] = a_ + signs.rows[at] * n_ + begin;
              factors[i] = signs.factors[at];
            }
            // The rows of the next groups, one after the other.
            const int64_t next = (g + kGroupsTogether) * group + j;
            for (int64_t p = begin; p < end && j < kGroupsTogether * group && next < m_; p += 16) {
              __builtin_prefetch(a_ + next * n_ + p, 0, 2);
            }
            kernels_.add_rows(rows, factors, count, end - begin, sums + j * n_ + begin);
          }
        }
        if (is_cancelled(context)) return;
        for (int64_t i = begin; i < end; ++i) {
          for (int64_t j = 0; j < width; ++j) sketch[i * width + j] = sums[j * n_ + i];
        }
      });
  if (status != TERSOR_OK) return status;
  return is_cancelled(context) ? cancelled(context) : TERSOR_OK;
}

}  // namespace tersor::cpu
