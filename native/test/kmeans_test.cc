#include <cmath>
#include <limits>
#include <set>
#include <string>

#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

struct Clustering {
  std::vector<float> centroids;
  std::vector<int32_t> assignments;
};

Clustering cluster(const std::vector<float>& x, int64_t n, int64_t d, int64_t k, uint64_t seed, int32_t iterations,
                   const std::vector<float>* weights = nullptr) {
  Context context;
  const F32 points({n, d}, x), centroids({k, d});
  const F32 mass({n}, weights == nullptr ? std::vector<float>(static_cast<size_t>(n), 1.0f) : *weights);
  const I32 assignments({n});
  const tersor_kmeans_options options = {seed, iterations};
  const tersor_tensor* given = weights == nullptr ? nullptr : static_cast<const tersor_tensor*>(mass);
  const tersor_status status = cpu::kmeans(&context, points, given, &options, centroids, assignments);
  CHECK_MESSAGE(status == TERSOR_OK, context.message);
  return {centroids.values(), assignments.values()};
}

double distance(const std::vector<float>& x, size_t i, const std::vector<float>& c, size_t j, size_t d) {
  double sum = 0;
  for (size_t p = 0; p < d; ++p) {
    const double apart = static_cast<double>(x[i * d + p]) - c[j * d + p];
    sum += apart * apart;
  }
  return sum;
}

double cost_of(const std::vector<float>& x, const Clustering& found, int64_t n, int64_t d) {
  double sum = 0;
  for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
    sum += distance(x, i, found.centroids, static_cast<size_t>(found.assignments[i]), static_cast<size_t>(d));
  }
  return sum;
}

}  // namespace

TEST_CASE("kmeans: every point is with its nearest centroid, every centroid the mean of its points, on any threads") {
  const int64_t shapes[][3] = {{1, 1, 1}, {5, 3, 5}, {700, 1, 16}, {3000, 1, 256}, {900, 3, 7}, {2000, 16, 20}};
  for (const auto& [n, d, k] : shapes) {
    for (const bool weighted : {false, true}) {
      CAPTURE(n);
      CAPTURE(d);
      const auto x = uniform(n * d, static_cast<uint32_t>(n));
      const auto weights = uniform(n, 9, 0, 2);
      const auto run = [&] { return cluster(x, n, d, k, 3, 1000, weighted ? &weights : nullptr); };
      same_for_any_thread_count("centroids", [&] { return run().centroids; });
      const Clustering found = run();
      const auto size = static_cast<size_t>(d);
      std::vector<double> sums(static_cast<size_t>(k * d), 0.0), masses(static_cast<size_t>(k), 0.0);
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
        const auto own = static_cast<size_t>(found.assignments[i]);
        REQUIRE(own < static_cast<size_t>(k));
        const double to_own = distance(x, i, found.centroids, own, size);
        for (size_t j = 0; j < static_cast<size_t>(k); ++j) {
          CHECK(to_own <= distance(x, i, found.centroids, j, size) + 1e-6);
        }
        const double mass = weighted ? static_cast<double>(weights[i]) : 1.0;
        masses[own] += mass;
        for (size_t p = 0; p < size; ++p) sums[own * size + p] += mass * static_cast<double>(x[i * size + p]);
      }
      for (size_t j = 0; j < static_cast<size_t>(k); ++j) {
        REQUIRE(masses[j] > 0);
        for (size_t p = 0; p < size; ++p) {
          CHECK(std::fabs(sums[j * size + p] / masses[j] - static_cast<double>(found.centroids[j * size + p])) <= 1e-6);
        }
      }
    }
  }
}

TEST_CASE("kmeans: more iterations never cost more") {
  const auto x = uniform(1500 * 4, 5);
  double before = HUGE_VAL;
  for (const int32_t iterations : {0, 1, 2, 5, 50}) {
    const double cost = cost_of(x, cluster(x, 1500, 4, 12, 1, iterations), 1500, 4);
    CHECK(cost <= before * (1 + 1e-6));
    before = cost;
  }
}

TEST_CASE("kmeans: as many clusters as different points, however often they repeat") {
  std::vector<float> x;
  for (int i = 0; i < 300; ++i) x.push_back(static_cast<float>(i % 6));
  for (const uint64_t seed : {0, 1, 2, 3}) {
    const Clustering found = cluster(x, 300, 1, 6, seed, 100);
    CHECK(std::set<float>(found.centroids.begin(), found.centroids.end()) == std::set<float>{0, 1, 2, 3, 4, 5});
    CHECK(cost_of(x, found, 300, 1) == 0);
  }
  // More clusters than different points: the others repeat, nothing breaks.
  CHECK(cost_of(x, cluster(x, 300, 1, 20, 1, 100), 300, 1) == 0);
}

TEST_CASE("kmeans: points without weight do not count") {
  const std::vector<float> x = {0, 1, 50}, weights = {1, 1, 0};
  CHECK(cluster(x, 3, 1, 1, 1, 10, &weights).centroids == std::vector<float>{0.5f});
  const std::vector<float> none = {0, 0, 0};
  CHECK(cluster(x, 3, 1, 2, 1, 10, &none).assignments.size() == 3);
}

TEST_CASE("kmeans: what cannot be done is refused") {
  const auto status = [](float value, float weight, int64_t k, int32_t iterations) {
    Context context;
    const F32 x({2, 1}, {0, value}), weights({2}, {1, weight}), centroids({k, 1});
    const I32 assignments({2});
    const tersor_kmeans_options options = {1, iterations};
    return cpu::kmeans(&context, x, weights, &options, centroids, assignments);
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(status(nan, 1, 1, 5) == TERSOR_NOT_FINITE);
  CHECK(status(1, -1, 1, 5) == TERSOR_OUT_OF_RANGE);
  CHECK(status(1, nan, 1, 5) == TERSOR_OUT_OF_RANGE);
  CHECK(status(1, 1, 3, 5) == TERSOR_OUT_OF_RANGE);
  CHECK(status(1, 1, 0, 5) == TERSOR_OUT_OF_RANGE);
  CHECK(status(1, 1, 1, -1) == TERSOR_OUT_OF_RANGE);
  CHECK(status(1, 1, 2, 5) == TERSOR_OK);
  Context context;
  context.flag = 1;
  const F32 x({2, 1}, {0, 1}), centroids({2, 1});
  const I32 assignments({2});
  const tersor_kmeans_options options = {1, 5};
  CHECK(cpu::kmeans(&context, x, nullptr, &options, centroids, assignments) == TERSOR_CANCELLED);
}

}  // namespace tersor::test
