// Search against exhaustive scores in exact integers or float64, for every kernel that this machine can run.
#include "cpu/operations.h"
#include "cpu/search/layout.h"
#include "typed.h"

namespace tersor::test {
namespace {

struct Scored {
  double score;
  int32_t row;
};

// Best first, of equal ones the lower row.
std::vector<Scored> ranked(std::vector<Scored> all) {
  std::sort(all.begin(), all.end(),
            [](const Scored& a, const Scored& b) { return a.score != b.score ? a.score > b.score : a.row < b.row; });
  return all;
}

struct Index {
  Tensor packed;
  tersor_search_index view;

  Index(const Tensor& vectors, int64_t rows, int64_t columns, tersor_search_format format, int32_t distances)
      : packed(TERSOR_U8, {cpu::search_bytes(rows, columns, format)}), view{} {
    Context context;
    REQUIRE(cpu::pack_search(&context, vectors, distances, packed) == TERSOR_OK);
    view = {*static_cast<const tersor_tensor*>(packed), rows, columns, format, distances};
  }
};

const KernelList<cpu::SearchKernel<int32_t>>& kernels_of(tersor_search_format format) {
  return format == TERSOR_SEARCH_INT8   ? cpu::search_int8_kernels
         : format == TERSOR_SEARCH_INT4 ? cpu::search_int4_kernels
                                        : cpu::search_binary_kernels;
}

// Codes few enough that scores repeat, so that ties are met.
void check_integers(tersor_search_format format, int64_t rows, int64_t columns, int64_t queries, int64_t k,
                    int32_t distances, int most, uint32_t seed) {
  Random random(seed);
  const auto code = [&](int64_t low, int64_t high) {
    return random.integer(std::max<int64_t>(-most, low), std::min<int64_t>(most, high));
  };
  std::vector<int32_t> x(static_cast<size_t>(rows * columns)), q(static_cast<size_t>(queries * columns));
  const bool bits = format == TERSOR_SEARCH_BINARY;
  for (int32_t& value : x) {
    value = static_cast<int32_t>(bits                           ? random.integer(0, 1)
                                 : format == TERSOR_SEARCH_INT4 ? code(-8, 7)
                                                                : code(-127, 127));
  }
  for (int32_t& value : q) value = static_cast<int32_t>(bits ? random.integer(0, 1) : code(-127, 127));

  const tersor_dtype dtype = format == TERSOR_SEARCH_INT8   ? TERSOR_I8
                             : format == TERSOR_SEARCH_INT4 ? TERSOR_U4
                                                            : TERSOR_U1;
  const auto stored = [&](const std::vector<int32_t>& values, tersor_dtype as, int64_t count) {
    std::vector<uint8_t> bytes(static_cast<size_t>(count * row_bytes(as, columns)));
    for (int64_t row = 0; row < count; ++row) {
      for (int64_t j = 0; j < columns; ++j) {
        const int32_t value = values[static_cast<size_t>(row * columns + j)] + (as == TERSOR_U4 ? 8 : 0);
        const int64_t bit = j * bits_of(as);
        uint8_t& byte = bytes[static_cast<size_t>(row * row_bytes(as, columns) + bit / 8)];
        byte = static_cast<uint8_t>(byte | static_cast<uint8_t>(value) << bit % 8);
      }
    }
    return bytes;
  };
  const Tensor vectors(dtype, {rows, columns}, stored(x, dtype, rows));
  const tersor_dtype query_dtype = bits ? TERSOR_U1 : TERSOR_I8;
  const Tensor query_tensor(query_dtype, {queries, columns}, stored(q, query_dtype, queries));
  const Index index(vectors, rows, columns, format, distances);

  std::vector<int32_t> expected_ids, expected_scores;
  for (int64_t i = 0; i < queries; ++i) {
    std::vector<Scored> all;
    for (int64_t row = 0; row < rows; ++row) {
      int64_t dot = 0, length = 0, different = 0;
      for (int64_t j = 0; j < columns; ++j) {
        const int64_t a = q[static_cast<size_t>(i * columns + j)], b = x[static_cast<size_t>(row * columns + j)];
        dot += a * b;
        length += b * b;
        different += a != b ? 1 : 0;
      }
      const int64_t unit = format == TERSOR_SEARCH_INT4 ? 16 : 1;
      const int64_t score = bits ? -different : distances != 0 ? 2 * dot - unit * length : dot;
      all.push_back({static_cast<double>(score), static_cast<int32_t>(row)});
    }
    all = ranked(all);
    for (int64_t j = 0; j < k; ++j) {
      expected_ids.push_back(all[static_cast<size_t>(j)].row);
      expected_scores.push_back(static_cast<int32_t>(all[static_cast<size_t>(j)].score));
    }
  }
  for_each_kernel(kernels_of(format), [&](const std::string& isa, cpu::SearchKernel<int32_t>* kernel) {
    const std::string what = isa + ", format " + std::to_string(format) + ", " + std::to_string(rows) + " x " +
                             std::to_string(columns) + ", " + std::to_string(queries) + " queries, k " +
                             std::to_string(k);
    const auto ids = same_for_any_thread_count(what, [&] {
      const I32 id_tensor({queries, k}), scores({queries, k});
      Context context;
      REQUIRE(cpu::search_with(kernel, &context, query_tensor, &index.view, id_tensor, scores) == TERSOR_OK);
      check_same_bits(what + ", scores", scores.values(), expected_scores);
      return id_tensor.values();
    });
    check_same_bits(what + ", ids", ids, expected_ids);
  });
}

}  // namespace

TEST_CASE("search in integers: exact scores and ties by the lower row, every kernel and shape") {
  uint32_t seed = 0;
  for (const tersor_search_format format : {TERSOR_SEARCH_INT8, TERSOR_SEARCH_INT4, TERSOR_SEARCH_BINARY}) {
    for (const int64_t columns : {1, 3, 4, 5, 8, 9, 31, 32, 33, 100, 129}) {
      for (const int64_t rows : {1, 31, 32, 33, 200}) {
        const int32_t distances = format != TERSOR_SEARCH_BINARY && ++seed % 2 == 0 ? 1 : 0;
        const int64_t queries = std::vector<int64_t>{1, 3, 8, 13}[++seed % 4];
        check_integers(format, rows, columns, queries, std::min<int64_t>(rows, 7), distances, seed % 3 == 0 ? 127 : 2,
                       seed);
      }
    }
  }
}

TEST_CASE("search in integers: many rows and chunks, many queries, any k") {
  check_integers(TERSOR_SEARCH_INT8, 20000, 64, 1, 10, 0, 3, 1);
  check_integers(TERSOR_SEARCH_INT8, 9000, 17, 70, 100, 1, 127, 2);
  check_integers(TERSOR_SEARCH_INT4, 9000, 40, 5, 33, 1, 8, 3);
  check_integers(TERSOR_SEARCH_BINARY, 30000, 70, 9, 50, 0, 1, 4);
  check_integers(TERSOR_SEARCH_BINARY, 700, 70, 2, 700, 0, 1, 5);
}

TEST_CASE("search in integers: the largest codes do not saturate") {
  for (const int8_t value : {static_cast<int8_t>(127), static_cast<int8_t>(-127)}) {
    const int64_t columns = 1000;
    const Tensor vectors(TERSOR_I8, {1, columns}, std::vector<int8_t>(columns, value));
    const Tensor query(TERSOR_I8, {1, columns}, std::vector<int8_t>(columns, 127));
    const Index index(vectors, 1, columns, TERSOR_SEARCH_INT8, 0);
    for_each_kernel(cpu::search_int8_kernels, [&](const std::string& isa, cpu::SearchKernel<int32_t>* kernel) {
      const I32 ids({1, 1}), scores({1, 1});
      Context context;
      REQUIRE(cpu::search_with(kernel, &context, query, &index.view, ids, scores) == TERSOR_OK);
      CHECK_MESSAGE(scores[0] == 127 * value * columns, isa);
    });
  }
}

TEST_CASE("search in f32: scores within rounding, nothing better left out, against float64") {
  uint32_t seed = 40;
  for (const int64_t columns : {1, 7, 64, 130}) {
    for (const int64_t rows : {1, 33, 5000}) {
      for (const int32_t distances : {0, 1}) {
        const int64_t queries = 11, k = std::min<int64_t>(rows, 9);
        const auto x = uniform(rows * columns, ++seed), q = uniform(queries * columns, seed + 100);
        const F32 vectors({rows, columns}, x), query_tensor({queries, columns}, q);
        const Index index(vectors, rows, columns, TERSOR_SEARCH_F32, distances);
        for_each_kernel(cpu::search_f32_kernels, [&](const std::string& isa, cpu::SearchKernel<float>* kernel) {
          const F32 scores({queries, k});
          const auto ids = same_for_any_thread_count(isa, [&] {
            const I32 id_tensor({queries, k});
            Context context;
            REQUIRE(cpu::search_with(kernel, &context, query_tensor, &index.view, id_tensor, scores) == TERSOR_OK);
            return id_tensor.values();
          });
          for (int64_t i = 0; i < queries; ++i) {
            std::vector<double> exact;
            for (int64_t row = 0; row < rows; ++row) {
              double dot = 0, length = 0;
              for (int64_t j = 0; j < columns; ++j) {
                const double b = x[static_cast<size_t>(row * columns + j)];
                dot += b * q[static_cast<size_t>(i * columns + j)];
                length += b * b;
              }
              exact.push_back(distances != 0 ? 2 * dot - length : dot);
            }
            std::vector<double> sorted = exact;
            std::sort(sorted.rbegin(), sorted.rend());
            // Values lie in [-1, 1]: terms of at most 1, twice that and a length with distances.
            const double tolerance = 4 * static_cast<double>(columns + 2) * static_cast<double>(columns) * kEpsilon;
            for (int64_t j = 0; j < k; ++j) {
              const auto at = static_cast<size_t>(i * k + j);
              CHECK(std::abs(scores[at] - exact[static_cast<size_t>(ids[at])]) <= tolerance);
              CHECK(std::abs(scores[at] - sorted[static_cast<size_t>(j)]) <= tolerance);
            }
          }
        });
      }
    }
  }
}

TEST_CASE("search: infinite scores are ranked, NaN is named") {
  const F32 vectors({3, 1}, {-HUGE_VALF, 1, HUGE_VALF}), query({1, 1}, {1}), zero({2, 1}, {1, 0});
  const Index index(vectors, 3, 1, TERSOR_SEARCH_F32, 0);
  for_each_kernel(cpu::search_f32_kernels, [&](const std::string& isa, cpu::SearchKernel<float>* kernel) {
    Context context;
    const I32 ids({1, 3}), more({2, 1});
    const F32 scores({1, 3}), more_scores({2, 1});
    REQUIRE(cpu::search_with(kernel, &context, query, &index.view, ids, scores) == TERSOR_OK);
    check_same_bits(isa, ids.values(), std::vector<int32_t>{2, 1, 0});
    CHECK(cpu::search_with(kernel, &context, zero, &index.view, more, more_scores) == TERSOR_NOT_FINITE);
    CHECK(std::string(context.message) == "expected scores that are numbers, got NaN, at queries[1] and row 0");
  });
}

TEST_CASE("search: codes and k out of range are named") {
  Context context;
  const Tensor lowest(TERSOR_I8, {2, 2}, std::vector<int8_t>{1, 2, 3, -128});
  const Tensor packed(TERSOR_U8, {cpu::search_bytes(2, 2, TERSOR_SEARCH_INT8)});
  CHECK(cpu::pack_search(&context, lowest, 0, packed) == TERSOR_OUT_OF_RANGE);
  CHECK(std::string(context.message) == "expected codes within +-127, got -128, at vectors[1, 1]");
  const Tensor fine(TERSOR_I8, {2, 2}, std::vector<int8_t>{1, 2, 3, 4});
  const Index index(fine, 2, 2, TERSOR_SEARCH_INT8, 0);
  const I32 ids({2, 1}), scores({2, 1}), three({2, 3}), three_scores({2, 3}), none({0, 1}), no_scores({0, 1});
  CHECK(cpu::search(&context, lowest, &index.view, ids, scores) == TERSOR_OUT_OF_RANGE);
  CHECK(cpu::search(&context, fine, &index.view, three, three_scores) == TERSOR_OUT_OF_RANGE);
  CHECK(std::string(context.message) == "expected 1 <= k <= 2, got 3");
  const Tensor no_queries(TERSOR_I8, {0, 2});
  CHECK(cpu::search(&context, no_queries, &index.view, none, no_scores) == TERSOR_OK);
  context.flag = 1;
  CHECK(cpu::search(&context, fine, &index.view, ids, scores) == TERSOR_CANCELLED);
}

}  // namespace tersor::test
