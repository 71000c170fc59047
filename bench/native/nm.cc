// Products with a weight that keeps `keep` of every `group` columns, x[m,k] * w[n,k]^T, against the peer's dense
// product.
#include <memory>
#include <random>

#include "benchmark.h"
#include "operand.h"
#include "peer.h"

namespace tersor::bench {
namespace {

// Zeroes all but `keep` elements, chosen at random, of every `group`.
void thin_out(const Operand& w, int64_t keep, int64_t group) {
  std::minstd_rand random(5);
  for (int64_t first = 0; first < w.size(); first += group) {
    int64_t left = keep;
    for (int64_t j = 0; j < group; ++j) {
      const bool kept = (random() >> 8) % static_cast<uint32_t>(group - j) < static_cast<uint32_t>(left);
      if (kept)
        --left;
      else
        w.data<float>()[first + j] = 0;
    }
  }
}

struct Product {
  int64_t m, n, k;
  int32_t keep, group;
  Operand x, w, packed, y;
  tersor_nm nm;

  explicit Product(const Parameters& shape)
      : m(shape["m"]),
        n(shape["n"]),
        k(shape["k"]),
        keep(static_cast<int32_t>(shape["keep"])),
        group(static_cast<int32_t>(shape["group"])),
        x(TERSOR_F32, {m, k}),
        w(TERSOR_F32, {n, k}),
        packed(TERSOR_U8, {tersor_cpu_backend()->nm_bytes(n, k, keep, group)}),
        y(TERSOR_F32, {m, n}),
        nm{.packed = *static_cast<const tersor_tensor*>(packed), .rows = n, .cols = k, .keep = keep, .group = group} {
    x.fill<float>(1, -1000, 1000, 1000);
    w.fill<float>(2, 1, 1000, 1000);
    thin_out(w, keep, group);
    call(tersor_cpu_backend()->pack_nm, w, keep, group, packed);
  }
};

}  // namespace

Benchmark nm_f32(const Parameters& shape) {
  const auto p = std::make_shared<Product>(shape);
  Benchmark benchmark;
  benchmark.arithmetic = Arithmetic::f32;
  // Only what is kept counts as work.
  benchmark.operations = 2.0 * static_cast<double>(p->m * p->n * p->k * p->keep / p->group);
  benchmark.bytes = static_cast<double>(p->x.bytes() + p->packed.bytes() + p->y.bytes());
  benchmark.ours = [p] { call(tersor_cpu_backend()->nm_gemm, p->x, &p->nm, nullptr, p->y); };
  set_peer(benchmark, p, p->y, {.m = p->m, .n = p->n, .k = p->k, .x = p->x.data<float>(), .w = p->w.data<float>()});
  return benchmark;
}

}  // namespace tersor::bench
