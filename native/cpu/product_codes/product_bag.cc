// Bags of rows in product codes. Centroids are few and stay in the caches: what a look-up waits for is the row's codes,
// a cache line or less. Written in vectors of four, which every machine has: sums have the same bits on all of them.
#include <algorithm>
#include <cstring>

#include "backend/fail.h"
#include "cpu/embedding/bags.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/product_codes/product_codes.h"
#include "cpu/scratch.h"

namespace tersor::cpu {
namespace {

enum class Fold { sum, weighted_sum, max };

// Sums in registers at a time.
constexpr int kVectors = 8;
constexpr int64_t kLookUpsPerChunk = 2048;

using Two = float __attribute__((vector_size(8)));
using Four = float __attribute__((vector_size(16)));

template <int kLanes>
struct Lanes;
template <>
struct Lanes<1> {
  using Vector = float;
};
template <>
struct Lanes<2> {
  using Vector = Two;
};
template <>
struct Lanes<4> {
  using Vector = Four;
};

struct Rows {
  const uint8_t* codes;
  int64_t row_bytes;
  Centroids centroids;
};

template <typename Vector>
Vector load(const float* p) {
  Vector v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// NaN wins.
template <typename Vector>
Vector larger(Vector x, Vector largest) {
  return x > largest || x != x ? x : largest;
}
template <>
Four larger(Four x, Four largest) {
  return (x > largest) | (x != x) ? x : largest;
}

template <>
Two larger(Two x, Two largest) {
  return (x > largest) | (x != x) ? x : largest;
}

// Sums of a bag, kVectors vectors of columns at a time; kSingle: a vector is as wide as a subspace.
template <int kBits, int kLanes, bool kSingle, Fold fold>
class BagSums {
 public:
  static void run(const Rows& rows, const Bags& bags, int64_t first, int64_t last, float* y) {
    const int64_t columns = rows.centroids.columns();
    const int64_t start = bags.bounds[first], stop = std::min(start + kRowsAhead, bags.bounds[last]);
    for (int64_t i = start; i < stop; ++i) prefetch(rows, bags.ids[i]);
    for (int64_t bag = first; bag < last; ++bag) {
      float* to = y + bag * columns;
      if (bags.bounds[bag] == bags.bounds[bag + 1]) {
        std::fill_n(to, columns, 0.0f);
        continue;
      }
      for (int64_t column = 0; column < columns; column += kVectors * kLanes) {
        const int64_t left = (columns - column) / kLanes;
        if (left >= kVectors) {
          pass<true>(rows, bags, bag, column, kVectors, to);
        } else {
          pass<false>(rows, bags, bag, column, left, to);
        }
      }
    }
  }

 private:
  using Vector = typename Lanes<kLanes>::Vector;

  [[gnu::always_inline]] static void prefetch(const Rows& rows, int64_t id) {
    const uint8_t* row = rows.codes + id * rows.row_bytes;
    for (int64_t at = 0; at < rows.row_bytes; at += 64) __builtin_prefetch(row + at);
    __builtin_prefetch(row + rows.row_bytes - 1);
  }

  // Columns [column, column + count * kLanes).
  template <bool kWhole>
  static void pass(const Rows& rows, const Bags& bags, int64_t bag, int64_t column, int64_t count, float* y) {
    const Centroids& centroids = rows.centroids;
    const int64_t begin = bags.bounds[bag], end = bags.bounds[bag + 1], last = bags.count - 1;
    const int64_t vectors = kWhole ? kVectors : count;
    Vector sums[kVectors];
    for (Vector& sum : sums) sum = fold == Fold::max ? Vector{} - __builtin_inff() : Vector{};
    // Where each vector's centroids begin, and of which code.
    const float* tables[kVectors];
    int64_t subspaces[kVectors];
    for (int64_t v = 0; v < vectors; ++v) {
      const int64_t at = column + v * kLanes;
      subspaces[v] = at / centroids.width;
      tables[v] = centroids.of(subspaces[v], 0) + at % centroids.width;
    }
    constexpr int64_t kTable = kLanes << kBits;  // numbers of a subspace's centroids
    const float* table = centroids.of(column / centroids.width, 0) + column % centroids.width;
    for (int64_t i = begin; i < end; ++i) {
      if (column == 0) prefetch(rows, bags.ids[std::min(i + kRowsAhead, last)]);
      const uint8_t* codes = rows.codes + bags.ids[i] * rows.row_bytes;
      const uint8_t* own = codes + column / kLanes * kBits / 8;  // of whole bytes: kVectors is even
      const float weight = fold == Fold::weighted_sum ? bags.weights[i] : 1.0f;
#pragma GCC unroll 8
      for (int64_t v = 0; v < vectors; ++v) {
        const auto x = kSingle ? load<Vector>(table + v * kTable + code_at<kBits>(own, v) * kLanes)
                               : load<Vector>(tables[v] + code_at<kBits>(codes, subspaces[v]) * centroids.width);
        if constexpr (fold == Fold::max) {
          sums[v] = larger(x, sums[v]);
        } else if constexpr (fold == Fold::weighted_sum) {
          sums[v] += weight * x;
        } else {
          sums[v] += x;
        }
      }
    }
    const auto divisor = static_cast<float>(end - begin);
    for (int64_t v = 0; v < vectors; ++v) {
      if (bags.mode == TERSOR_BAG_MEAN) sums[v] /= divisor;
      std::memcpy(y + column + v * kLanes, &sums[v], sizeof sums[v]);
    }
  }
};

template <int kBits, int kLanes, bool kSingle>
void run(const Rows& rows, const Bags& bags, int64_t first, int64_t last, float* y) {
  if (bags.mode == TERSOR_BAG_MAX) return BagSums<kBits, kLanes, kSingle, Fold::max>::run(rows, bags, first, last, y);
  if (bags.weights != nullptr) {
    return BagSums<kBits, kLanes, kSingle, Fold::weighted_sum>::run(rows, bags, first, last, y);
  }
  BagSums<kBits, kLanes, kSingle, Fold::sum>::run(rows, bags, first, last, y);
}

template <int kBits>
auto kernel_for(int64_t width) {
  if (width == 4) return run<kBits, 4, true>;
  if (width == 2) return run<kBits, 2, true>;
  return width % 4 == 0 ? run<kBits, 4, false> : run<kBits, 1, false>;
}

}  // namespace

tersor_status product_bag(tersor_context* context, const tersor_product_table* table, const tersor_bags* bags,
                          const tersor_tensor* y) {
  const int64_t count = bag_count(bags), ids = elements_of(bags->ids);
  void* memory = nullptr;
  if (const tersor_status status = scratch(context, static_cast<size_t>(count + 2) * sizeof(int64_t), &memory);
      status != TERSOR_OK) {
    return status;
  }
  auto* bounds = static_cast<int64_t*>(memory);
  if (const tersor_status status = check_bags(context, bags, rows_of(&table->codes), bounds); status != TERSOR_OK) {
    return status;
  }
  if (bags->weights != nullptr && bags->mode != TERSOR_BAG_SUM) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected no weights unless rows are summed, got some, at mode %d",
                static_cast<int>(bags->mode));
  }
  const Centroids centroids(&table->centroids);
  if (centroids.columns() == 0) return TERSOR_OK;
  const Rows rows{data_of<const uint8_t>(&table->codes), row_bytes(table->codes.dtype, centroids.subspaces), centroids};
  const Bags look_ups{data_of<const int32_t>(bags->ids), ids, bounds,
                      bags->weights == nullptr ? nullptr : data_of<const float>(bags->weights), bags->mode};
  const auto kernel = centroids.bits() == 8 ? kernel_for<8>(centroids.width) : kernel_for<4>(centroids.width);
  const int64_t per_bag = ids / std::max<int64_t>(1, count) + 1;
  return for_chunks(context, count, std::max<int64_t>(1, kLookUpsPerChunk / per_bag),
                    [&](int64_t begin, int64_t end) { kernel(rows, look_ups, begin, end, data_of<float>(y)); });
}

}  // namespace tersor::cpu
