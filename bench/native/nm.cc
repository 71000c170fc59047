// Products with a weight that keeps `keep` of every `group` columns, x[m,k] * w[n,k]^T, against the peer's dense
// product of the same type.
#include <memory>
#include <random>

#include "benchmark.h"
#include "int8_layer.h"
#include "operand.h"
#include "peer.h"

namespace tersor::bench {
namespace {

// Zeroes all but `keep` elements, chosen at random, of every `group`.
template <typename T>
void thin_out(const Operand& w, int64_t keep, int64_t group) {
  std::minstd_rand random(5);
  for (int64_t first = 0; first < w.size(); first += group) {
    int64_t left = keep;
    for (int64_t j = 0; j < group; ++j) {
      const bool kept = (random() >> 8) % static_cast<uint32_t>(group - j) < static_cast<uint32_t>(left);
      if (kept)
        --left;
      else
        w.data<T>()[first + j] = 0;
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
        nm{.packed = *static_cast<const tersor_tensor*>(packed),
           .rows = n,
           .cols = k,
           .keep = keep,
           .group = group,
           .bits = 32} {
    x.fill<float>(1, -1000, 1000, 1000);
    w.fill<float>(2, 1, 1000, 1000);
    thin_out<float>(w, keep, group);
    call(tersor_cpu_backend()->pack_nm, w, keep, group, packed);
  }
};

struct IntegerProduct : Int8Layer {
  int32_t keep, group, bits;
  Operand w, packed;
  tersor_nm nm;
  tersor_int8_codes input{1, 0};

  explicit IntegerProduct(const Parameters& shape)
      : Int8Layer(shape),
        keep(static_cast<int32_t>(shape["keep"])),
        group(static_cast<int32_t>(shape["group"])),
        bits(static_cast<int32_t>(shape["bits"])),
        w(TERSOR_I8, {n, k}),
        packed(TERSOR_U8, {tersor_cpu_backend()->nm_int8_bytes(n, k, keep, group, bits)}),
        nm{.packed = *packed, .rows = n, .cols = k, .keep = keep, .group = group, .bits = bits} {
    const int64_t high = bits == 8 ? 127 : 7;
    w.fill<int8_t>(2, -high, high);
    thin_out<int8_t>(w, keep, group);
    call(tersor_cpu_backend()->pack_nm_int8, w, keep, group, bits, packed);
  }
};

// Only what is kept counts as work.
template <typename Product>
Benchmark work_of(const Product& p, Arithmetic arithmetic) {
  Benchmark benchmark;
  benchmark.arithmetic = arithmetic;
  benchmark.operations = 2.0 * static_cast<double>(p.m * p.n * p.k * p.keep / p.group);
  benchmark.bytes = static_cast<double>(p.x.bytes() + p.packed.bytes() + p.y.bytes());
  return benchmark;
}

}  // namespace

Benchmark nm_f32(const Parameters& shape) {
  const auto p = std::make_shared<Product>(shape);
  Benchmark benchmark = work_of(*p, Arithmetic::f32);
  benchmark.ours = [p] { call(tersor_cpu_backend()->nm_gemm, p->x, &p->nm, nullptr, p->y); };
  set_peer(benchmark, p, p->y, {.m = p->m, .n = p->n, .k = p->k, .x = p->x.data<float>(), .w = p->w.data<float>()});
  return benchmark;
}

Benchmark nm_int8(const Parameters& shape) {
  const auto p = std::make_shared<IntegerProduct>(shape);
  Benchmark benchmark = work_of(*p, Arithmetic::int8);
  benchmark.ours = [p] { call(tersor_cpu_backend()->nm_gemm_int8, p->x, &p->nm, &p->input, p->scales, nullptr, p->y); };
  set_peer(benchmark, p, p->y, p->dense(p->w.data<int8_t>()));
  return benchmark;
}

}  // namespace tersor::bench
