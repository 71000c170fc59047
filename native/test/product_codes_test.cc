#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "cpu/operations.h"
#include "cpu/product_codes/product_search.h"
#include "typed.h"

namespace tersor::test {
namespace {

const float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

// Rows in product codes with codes and centroids at random.
struct Table {
  int64_t rows, subspaces, width;
  tersor_dtype dtype;
  std::vector<uint8_t> codes;
  std::vector<float> centroids;

  Table(int64_t rows_, int64_t subspaces_, int64_t width_, tersor_dtype dtype_)
      : rows(rows_), subspaces(subspaces_), width(width_), dtype(dtype_) {
    codes = Random(1).integers<uint8_t>(rows * row_bytes(dtype, subspaces), 0, 255);
    centroids = uniform(subspaces * count() * width, 2);
  }

  int64_t count() const { return dtype == TERSOR_U8 ? 256 : 16; }
  int64_t columns() const { return subspaces * width; }
  int bits() const { return dtype == TERSOR_U8 ? 8 : 4; }

  int64_t code(int64_t row, int64_t subspace) const {
    const uint8_t* own = codes.data() + row * row_bytes(dtype, subspaces);
    return dtype == TERSOR_U8 ? own[subspace] : (subspace % 2 == 0 ? own[subspace / 2] & 15 : own[subspace / 2] >> 4);
  }
  float value(int64_t row, int64_t column) const {
    const int64_t s = column / width;
    return centroids[static_cast<size_t>((s * count() + code(row, s)) * width + column % width)];
  }

  template <typename Body>
  auto with_view(Body&& body) const {
    const Typed<uint8_t> stored({rows, subspaces}, codes, dtype);
    const F32 values({subspaces, count(), width}, centroids);
    const tersor_product_table view = {*static_cast<const tersor_tensor*>(stored),
                                       *static_cast<const tersor_tensor*>(values)};
    return body(&view);
  }
};

const tersor_dtype kCodeTypes[] = {TERSOR_U8, TERSOR_U4};

TEST_CASE("product_decode gives the centroids of a row, of all rows or of some") {
  for (const tersor_dtype dtype : kCodeTypes) {
    for (const int64_t subspaces : {1, 2, 3, 16}) {
      for (const int64_t width : {1, 3, 4}) {
        const Table table(9, subspaces, width, dtype);
        table.with_view([&](const tersor_product_table* view) {
          const F32 all({9, table.columns()}), some({3, table.columns()});
          const I32 ids({3}, {8, 0, 8}), bad({1}, {9});
          Context context;
          CHECK(cpu::product_decode(&context, view, nullptr, all) == TERSOR_OK);
          CHECK(cpu::product_decode(&context, view, ids, some) == TERSOR_OK);
          for (int64_t j = 0; j < table.columns(); ++j) {
            for (int64_t i = 0; i < 9; ++i)
              CHECK(all[static_cast<size_t>(i * table.columns() + j)] == table.value(i, j));
            CHECK(some[static_cast<size_t>(j)] == table.value(8, j));
            CHECK(some[static_cast<size_t>(table.columns() + j)] == table.value(0, j));
          }
          CHECK(cpu::product_decode(&context, view, bad, some) == TERSOR_OUT_OF_RANGE);
        });
      }
    }
  }
}

TEST_CASE("product_encode takes the nearest centroid of each slice, the first of equally near ones") {
  for (const tersor_dtype dtype : kCodeTypes) {
    for (const int64_t subspaces : {1, 3, 8}) {
      for (const int64_t width : {1, 4, 5}) {
        Table table(40, subspaces, width, dtype);
        // A centroid twice.
        for (int64_t j = 0; j < width; ++j)
          table.centroids[static_cast<size_t>(9 * width + j)] = table.centroids[static_cast<size_t>(4 * width + j)];
        std::vector<float> x = uniform(40 * table.columns(), 3);
        for (int64_t j = 0; j < width; ++j)
          x[static_cast<size_t>(j)] = table.centroids[static_cast<size_t>(9 * width + j)];
        const auto encoded = same_for_any_thread_count("product_encode", [&] {
          const F32 input({40, table.columns()}, x), centroids({subspaces, table.count(), width}, table.centroids);
          const Typed<uint8_t> codes({40, subspaces}, dtype);
          Context context;
          CHECK(cpu::product_encode(&context, input, centroids, codes) == TERSOR_OK);
          return codes.values();
        });
        table.codes = encoded;
        CHECK(table.code(0, 0) == 4);
        for (int64_t i = 0; i < 40; ++i) {
          for (int64_t s = 0; s < subspaces; ++s) {
            const auto distance = [&](int64_t code) {
              double sum = 0;
              for (int64_t j = 0; j < width; ++j) {
                const double difference = double{x[static_cast<size_t>(i * table.columns() + s * width + j)]} -
                                          table.centroids[static_cast<size_t>((s * table.count() + code) * width + j)];
                sum += difference * difference;
              }
              return sum;
            };
            double least = HUGE_VAL;
            for (int64_t c = 0; c < table.count(); ++c) least = std::min(least, distance(c));
            CHECK(distance(table.code(i, s)) <= least + 1e-5);
          }
        }
      }
    }
  }
}

TEST_CASE("product_bag against float64: sums, means, maxima, weights, empty bags, offsets of both kinds") {
  int mix = 0;
  for (const tersor_dtype dtype : kCodeTypes) {
    for (const int64_t subspaces : {1, 2, 3, 9, 16, 40}) {
      for (const int64_t width : {1, 2, 3, 4, 8, 12}) {
        for (const tersor_bag_mode mode : {TERSOR_BAG_SUM, TERSOR_BAG_MEAN, TERSOR_BAG_MAX}) {
          const Table table(50, subspaces, width, dtype);
          const int64_t columns = table.columns();
          const bool weighted = mode == TERSOR_BAG_SUM && mix % 2 == 0, last = mix % 3 == 0;
          const std::vector<int32_t> bounds = {0, 0, 5, 6, 6, 120};
          const std::vector<int32_t> ids = Random(4).integers<int32_t>(120, 0, 49);
          const std::vector<float> weights = uniform(120, 5);
          const auto y = same_for_any_thread_count("product_bag", [&] {
            return table.with_view([&](const tersor_product_table* view) {
              const I32 id({120}, ids), offsets({last ? 6 : 5}, {bounds.begin(), bounds.begin() + (last ? 6 : 5)});
              const F32 weight({120}, weights), sums({5, columns});
              const tersor_bags bags = {id, offsets, weighted ? static_cast<const tersor_tensor*>(weight) : nullptr,
                                        last, mode};
              Context context;
              CHECK(cpu::product_bag(&context, view, &bags, sums) == TERSOR_OK);
              return sums.values();
            });
          });
          std::vector<double> expected, tolerance;
          for (size_t bag = 0; bag < 5; ++bag) {
            for (int64_t j = 0; j < columns; ++j) {
              double sum = 0, size = 0, largest = -HUGE_VAL;
              for (auto i = static_cast<size_t>(bounds[bag]); i < static_cast<size_t>(bounds[bag + 1]); ++i) {
                const double value = table.value(ids[i], j), part = weighted ? value * double{weights[i]} : value;
                sum += part;
                size += std::abs(part);
                largest = std::max(largest, value);
              }
              const int count = bounds[bag + 1] - bounds[bag];
              const double divisor = mode == TERSOR_BAG_MEAN && count > 0 ? count : 1;
              expected.push_back(count == 0 ? 0 : mode == TERSOR_BAG_MAX ? largest : sum / divisor);
              tolerance.push_back(mode == TERSOR_BAG_MAX ? 0 : kEpsilon * (count + 3) * size / divisor);
            }
          }
          check_close("product_bag of " + std::to_string(subspaces) + " x " + std::to_string(width), y, expected,
                      tolerance);
          ++mix;
        }
      }
    }
  }
}

TEST_CASE("product_bag keeps NaN in a maximum, and refuses ids, offsets and weights that do not fit") {
  Table table(4, 3, 4, TERSOR_U8);
  table.codes.assign(12, 7);
  table.codes[0] = 9;
  table.centroids[9 * 4 + 1] = kNan;
  table.with_view([&](const tersor_product_table* view) {
    const I32 ids({3}, {1, 0, 2}), bad({3}, {1, 4, 2}), offsets({1}, {0}), late({2}, {0, 4});
    const F32 y({1, 12}), two({2, 12}), weights({3}, {1, 1, 1});
    Context context;
    tersor_bags bags = {ids, offsets, nullptr, 0, TERSOR_BAG_MAX};
    CHECK(cpu::product_bag(&context, view, &bags, y) == TERSOR_OK);
    CHECK(std::isnan(y[1]));
    CHECK(y[0] == std::max(table.value(0, 0), table.value(1, 0)));
    bags.weights = weights;
    CHECK(cpu::product_bag(&context, view, &bags, y) == TERSOR_INVALID_ARGUMENT);
    bags = {bad, offsets, nullptr, 0, TERSOR_BAG_SUM};
    CHECK(cpu::product_bag(&context, view, &bags, y) == TERSOR_OUT_OF_RANGE);
    bags = {ids, late, nullptr, 0, TERSOR_BAG_SUM};
    CHECK(cpu::product_bag(&context, view, &bags, two) == TERSOR_OUT_OF_RANGE);
  });
}

TEST_CASE("product_encode and product_search refuse numbers that are not finite") {
  const Table table(2, 2, 2, TERSOR_U8);
  Context context;
  for (const float bad : {kNan, kInfinity}) {
    const F32 x({2, 4}, {1, 2, 3, 4, 5, bad, 7, 8}), centroids({2, 256, 2}, table.centroids);
    const Typed<uint8_t> codes({2, 2});
    CHECK(cpu::product_encode(&context, x, centroids, codes) == TERSOR_NOT_FINITE);
    CHECK(std::string(context.message).find("at x[1, 1]") != std::string::npos);
    centroids[5] = bad;
    const F32 good({2, 4});
    CHECK(cpu::product_encode(&context, good, centroids, codes) == TERSOR_NOT_FINITE);
    CHECK(std::string(context.message).find("at element 5") != std::string::npos);
    const Typed<uint8_t> packed({cpu::product_search_bytes(2, 2, 8)});
    const tersor_product_index index = {*static_cast<const tersor_tensor*>(packed), 2, 2, 8, 0};
    const I32 ids({2, 1});
    const F32 scores({2, 1}), clean({2, 256, 2}, table.centroids);
    CHECK(cpu::product_search(&context, x, clean, &index, ids, scores) == TERSOR_NOT_FINITE);
    CHECK(std::string(context.message).find("at queries[1]") != std::string::npos);
  }
}

// Results of a search, and of one by sorting the scores of all rows as the contract says them.
struct Found {
  std::vector<int32_t> ids;
  std::vector<float> scores;
};

Found search_with(cpu::ProductFilter* filter, const Table& table, const std::vector<float>& queries, int64_t k,
                  bool distances) {
  const int64_t count = static_cast<int64_t>(queries.size()) / table.columns();
  const Typed<uint8_t> codes({table.rows, table.subspaces}, table.codes, table.dtype);
  const Typed<uint8_t> packed({cpu::product_search_bytes(table.rows, table.subspaces, table.bits())});
  const F32 query({count, table.columns()}, queries), scores({count, k});
  const F32 centroids({table.subspaces, table.count(), table.width}, table.centroids);
  const I32 ids({count, k});
  Context context;
  CHECK(cpu::pack_product_search(&context, codes, packed) == TERSOR_OK);
  const tersor_product_index index = {*static_cast<const tersor_tensor*>(packed), table.rows, table.subspaces,
                                      table.bits(), distances};
  CHECK(cpu::product_search_with(filter, &context, query, centroids, &index, ids, scores) == TERSOR_OK);
  return {ids.values(), scores.values()};
}

Found by_sorting(const Table& table, const std::vector<float>& queries, int64_t k, bool distances) {
  Found found;
  for (size_t q = 0; q < queries.size(); q += static_cast<size_t>(table.columns())) {
    std::vector<float> scores;
    for (int64_t row = 0; row < table.rows; ++row) {
      float sum = 0;
      for (int64_t s = 0; s < table.subspaces; ++s) {
        float entry = 0;
        for (int64_t j = s * table.width; j < (s + 1) * table.width; ++j) {
          const float x = table.value(row, j), asked = queries[q + static_cast<size_t>(j)];
          entry += (distances ? 2 * asked - x : asked) * x;
        }
        sum += entry;
      }
      scores.push_back(sum);
    }
    std::vector<int32_t> order(scores.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return scores[static_cast<size_t>(a)] > scores[static_cast<size_t>(b)];
    });
    for (int64_t i = 0; i < k; ++i) {
      found.ids.push_back(order[static_cast<size_t>(i)]);
      found.scores.push_back(scores[static_cast<size_t>(order[static_cast<size_t>(i)])]);
    }
  }
  return found;
}

void check_search(const Table& table, int64_t queries, int64_t k, bool distances, double spread = 1) {
  const std::vector<float> asked = uniform(queries * table.columns(), 8, -spread, spread);
  const Found expected = by_sorting(table, asked, k, distances);
  const auto& kernels = table.dtype == TERSOR_U8 ? cpu::product_filter8_kernels : cpu::product_filter4_kernels;
  for_each_kernel(kernels, [&](const std::string& isa, cpu::ProductFilter* filter) {
    const std::string what = isa + " " + std::to_string(table.rows) + " x " + std::to_string(table.subspaces) + " of " +
                             tersor::name_of(table.dtype);
    const auto ids =
        same_for_any_thread_count(what, [&] { return search_with(filter, table, asked, k, distances).ids; });
    check_same_bits(what, ids, expected.ids);
    check_same_bits(what, search_with(filter, table, asked, k, distances).scores, expected.scores);
  });
}

TEST_CASE("product_search finds what sorting all scores finds, on every ISA and for any thread count") {
  for (const tersor_dtype dtype : kCodeTypes) {
    for (const bool distances : {false, true}) {
      for (const int64_t rows : {1, 63, 64, 65, 700, 20000}) {
        for (const int64_t subspaces : {1, 2, 7, 16}) {
          check_search(Table(rows, subspaces, rows % 2 == 0 ? 4 : 3, dtype), rows < 1000 ? 3 : 2,
                       std::min<int64_t>(rows, rows == 700 ? 700 : 10), distances);
        }
      }
    }
    check_search(Table(300, 8, 2, dtype), 37, 5, true);
    // So many subspaces that sums of bytes saturate.
    check_search(Table(5000, 300, 1, dtype), 2, 10, false);
    // Queries of zeros: all scores are equal, and the first rows win.
    check_search(Table(5000, 4, 2, dtype), 2, 10, false, 0);
  }
}

TEST_CASE("product_search of tables whose entries differ by many orders of magnitude, and of few different rows") {
  for (const tersor_dtype dtype : kCodeTypes) {
    Table uneven(5000, 8, 2, dtype);
    for (size_t i = 0; i < uneven.centroids.size(); ++i) uneven.centroids[i] *= i % 7 == 0 ? 1e12f : 1e-12f;
    check_search(uneven, 3, 10, false);
    Table alike(5000, 8, 2, dtype);
    for (uint8_t& code : alike.codes) code = code < 128 ? 0 : 17;
    check_search(alike, 3, 20, true);
  }
}

TEST_CASE("product_search stops when it is told to, and refuses more results than rows") {
  const Table table(100, 4, 2, TERSOR_U8);
  const Typed<uint8_t> packed({cpu::product_search_bytes(100, 4, 8)});
  const tersor_product_index index = {*static_cast<const tersor_tensor*>(packed), 100, 4, 8, 0};
  const F32 queries({1, 8}, uniform(8, 1)), centroids({4, 256, 2}, table.centroids), scores({1, 3}), many({1, 101});
  const I32 ids({1, 3}), too_many({1, 101});
  Context context;
  CHECK(cpu::product_search(&context, queries, centroids, &index, too_many, many) == TERSOR_OUT_OF_RANGE);
  context.flag = 1;
  CHECK(cpu::product_search(&context, queries, centroids, &index, ids, scores) == TERSOR_CANCELLED);
}

}  // namespace
}  // namespace tersor::test
