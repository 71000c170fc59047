// Thin singular value decomposition of a[m,n], exact, or randomized to a rank. How many operations that takes depends
// on the values, so that no limit applies; there is no peer.
#include <memory>
#include <numeric>

#include "benchmark.h"
#include "operand.h"

namespace tersor::bench {
namespace {

struct Decomposition {
  int64_t m, n;
  Operand a, u, s, vt;

  explicit Decomposition(const Parameters& shape)
      : m(shape["m"]),
        n(shape["n"]),
        a(TERSOR_F32, {m, n}),
        u(TERSOR_F32, {m, std::min(m, n)}),
        s(TERSOR_F32, {std::min(m, n)}),
        vt(TERSOR_F32, {std::min(m, n), n}) {
    a.fill<float>(1, -1000, 1000, 1000);
  }
};

// A matrix whose i-th squared singular value is 1 / (1 + i): a diagonal between two reflections.
struct Truncation {
  int64_t m, n, rank;
  tersor_svd_randomized_options options;
  Operand a, u, s, vt;

  explicit Truncation(const Parameters& shape)
      : m(shape["m"]),
        n(shape["n"]),
        rank(shape["rank"]),
        options{.seed = 1, .oversampling = 16, .power = static_cast<int32_t>(shape["power"])},
        a(TERSOR_F32, {m, n}),
        u(TERSOR_F32, {m, rank}),
        s(TERSOR_F32, {rank}),
        vt(TERSOR_F32, {rank, n}) {
    const Operand left(TERSOR_F32, {m}), right(TERSOR_F32, {n});
    left.fill<float>(1, -1000, 1000, 1000);
    right.fill<float>(2, -1000, 1000, 1000);
    const float *x = left.data<float>(), *y = right.data<float>();
    const auto dot = [](const float* p, int64_t count) { return std::inner_product(p, p + count, p, 0.0f); };
    const float x_scale = 2 / dot(x, m), y_scale = 2 / dot(y, n);
    const auto value = [](int64_t i) { return 1 / std::sqrt(static_cast<float>(1 + i)); };
    float middle = 0;
    for (int64_t i = 0; i < n; ++i) middle += x[i] * value(i) * y[i];
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const float from_left = x_scale * x[i] * x[j] * value(j);
        const float from_right = i < n ? y_scale * value(i) * y[i] * y[j] : 0;
        const float both = x_scale * y_scale * middle * x[i] * y[j];
        a.data<float>()[i * n + j] = (i == j ? value(i) : 0) - from_left - from_right + both;
      }
    }
  }
};

}  // namespace

Benchmark svd_randomized(const Parameters& shape) {
  const auto p = std::make_shared<Truncation>(shape);
  Benchmark benchmark;
  benchmark.ours = [p] { call(tersor_cpu_backend()->svd_randomized, p->a, &p->options, p->u, p->s, p->vt); };
  return benchmark;
}

// The peer is our own svd, a matrix at a time.
Benchmark svd_batched(const Parameters& shape) {
  const int64_t count = shape["count"], n = shape["n"];
  struct Batch {
    Operand a, u, s, vt;
  };
  const auto p = std::shared_ptr<Batch>(new Batch{
      {TERSOR_F32, {count, n, n}}, {TERSOR_F32, {count, n, n}}, {TERSOR_F32, {count, n}}, {TERSOR_F32, {count, n, n}}});
  p->a.fill<float>(1, -1000, 1000, 1000);
  const auto one = [n](const Operand& all, int64_t i, int32_t rank) {
    tersor_tensor part = *all;
    part.rank = rank;
    part.shape[0] = part.shape[1] = n;
    part.data = all.data<float>() + i * (rank == 2 ? n * n : n);
    return part;
  };
  Benchmark benchmark;
  benchmark.ours = [p] { call(tersor_cpu_backend()->svd_batched, p->a, p->u, p->s, p->vt); };
  benchmark.peer = [p, one, count] {
    for (int64_t i = 0; i < count; ++i) {
      const tersor_tensor a = one(p->a, i, 2), u = one(p->u, i, 2), s = one(p->s, i, 1), vt = one(p->vt, i, 2);
      call(tersor_cpu_backend()->svd, &a, &u, &s, &vt);
    }
  };
  benchmark.peer_label = "svd, one by one";
  return benchmark;
}

Benchmark svd_f32(const Parameters& shape) {
  const auto p = std::make_shared<Decomposition>(shape);
  Benchmark benchmark;
  benchmark.ours = [p] { call(tersor_cpu_backend()->svd, p->a, p->u, p->s, p->vt); };
  return benchmark;
}

}  // namespace tersor::bench
