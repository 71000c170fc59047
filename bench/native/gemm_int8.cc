// Dense 8-bit products with a scale per column, x[m,k] * w[n,k]^T, results in f32.
#include <memory>

#include "benchmark.h"
#include "int8_layer.h"
#include "peer.h"

namespace tersor::bench {
namespace {

// The weight in our layout, and as the peer takes it.
struct PackedWeight {
  Operand w, packed;
  tersor_int8_weight view;

  PackedWeight(int64_t n, int64_t k)
      : w(TERSOR_I8, {n, k}), packed(TERSOR_U8, {tersor_cpu_backend()->int8_bytes(n, k)}) {
    w.fill<int8_t>(2, -127, 127);
    call(tersor_cpu_backend()->pack_int8, w, packed);
    view = {*static_cast<const tersor_tensor*>(packed), n, k};
  }
};

struct Product : Int8Layer {
  PackedWeight weight;
  tersor_int8_codes input{1, 0};

  explicit Product(const Parameters& shape) : Int8Layer(shape), weight(n, k) {}
};

// Rows of f32, quantized inside the product.
struct FloatProduct : Product {
  Operand floats;

  explicit FloatProduct(const Parameters& shape) : Product(shape), floats(TERSOR_F32, {m, k}) {
    floats.fill<float>(4, -1000, 1000, 1000);
    input = {2.0f / 255, 128};
  }
};

Benchmark work_of(const Product& p, const Operand& x) {
  Benchmark benchmark;
  benchmark.arithmetic = Arithmetic::int8;
  benchmark.operations = 2.0 * static_cast<double>(p.m * p.n * p.k);
  benchmark.bytes = static_cast<double>(x.bytes() + p.weight.w.bytes() + p.y.bytes());
  return benchmark;
}

// The peer multiplies codes that were made before: what coding them costs is ours alone.
void set_time_of_peer(Benchmark& benchmark, const std::shared_ptr<FloatProduct>& p) {
  if (const auto peer = dense_peer(p->dense(p->weight.w.data<int8_t>()))) benchmark.peer = peer->run;
}

}  // namespace

Benchmark gemm_int8(const Parameters& shape) {
  const auto p = std::make_shared<Product>(shape);
  Benchmark benchmark = work_of(*p, p->x);
  benchmark.ours = [p] {
    call(tersor_cpu_backend()->gemm_int8, p->x, &p->weight.view, &p->input, p->scales, nullptr, nullptr, p->y);
  };
  set_peer(benchmark, p, p->y, p->dense(p->weight.w.data<int8_t>()));
  return benchmark;
}

Benchmark gemm_int8_static(const Parameters& shape) {
  const auto p = std::make_shared<FloatProduct>(shape);
  Benchmark benchmark = work_of(*p, p->floats);
  benchmark.ours = [p] {
    call(tersor_cpu_backend()->gemm_int8, p->floats, &p->weight.view, &p->input, p->scales, nullptr, nullptr, p->y);
  };
  set_time_of_peer(benchmark, p);
  return benchmark;
}

Benchmark gemm_int8_dynamic(const Parameters& shape) {
  const auto p = std::make_shared<FloatProduct>(shape);
  Benchmark benchmark = work_of(*p, p->floats);
  benchmark.ours = [p] {
    call(tersor_cpu_backend()->gemm_int8, p->floats, &p->weight.view, nullptr, p->scales, nullptr, nullptr, p->y);
  };
  set_time_of_peer(benchmark, p);
  return benchmark;
}

}  // namespace tersor::bench
