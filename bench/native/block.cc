// Products with a weight of which `zeros` percent of the blocks of rows x cols elements are zero, x[m,k] * w[n,k]^T,
// against the peer's dense product.
#include <memory>
#include <random>
#include <vector>

#include "benchmark.h"
#include "operand.h"
#include "peer.h"

namespace tersor::bench {
namespace {

// A weight with its zeros, and without them.
struct BlockWeight {
  std::vector<float> dense;  // [n,k]
  std::vector<uint32_t> offsets{0}, columns;
  std::vector<float> values;

  explicit BlockWeight(const Parameters& shape) {
    const int64_t n = shape["n"], k = shape["k"], rows = shape["rows"], cols = shape["cols"], zeros = shape["zeros"];
    std::minstd_rand random(2);
    const auto integer = [&random](uint32_t below) { return static_cast<int64_t>((random() >> 8) % below); };
    dense.resize(static_cast<size_t>(n * k));
    for (int64_t row = 0; row < n; row += rows) {
      for (int64_t column = 0; column < k; column += cols) {
        if (integer(100) < zeros) continue;
        columns.push_back(static_cast<uint32_t>(column / cols));
        for (int64_t c = column; c < column + cols; ++c) {
          for (int64_t r = row; r < row + rows; ++r) {
            const bool inside = r < n && c < k;
            values.push_back(inside ? static_cast<float>(integer(2001) - 1000) / 1000 : 0.0f);
            if (inside) dense[static_cast<size_t>(r * k + c)] = values.back();
          }
        }
      }
      offsets.push_back(static_cast<uint32_t>(columns.size()));
    }
  }
};

struct Product {
  int64_t m, n, k;
  BlockWeight weight;
  Operand offsets, columns, values, x, y;
  tersor_blocks w;

  explicit Product(const Parameters& shape)
      : m(shape["m"]),
        n(shape["n"]),
        k(shape["k"]),
        weight(shape),
        offsets(TERSOR_U32, {static_cast<int64_t>(weight.offsets.size())}),
        columns(TERSOR_U32, {static_cast<int64_t>(weight.columns.size())}),
        values(TERSOR_F32, {static_cast<int64_t>(weight.values.size())}),
        x(TERSOR_F32, {m, k}),
        y(TERSOR_F32, {m, n}),
        w{.panel_offsets = *static_cast<const tersor_tensor*>(offsets),
          .columns = *static_cast<const tersor_tensor*>(columns),
          .values = *static_cast<const tersor_tensor*>(values),
          .rows = n,
          .cols = k,
          .block_rows = static_cast<int32_t>(shape["rows"]),
          .block_cols = static_cast<int32_t>(shape["cols"])} {
    std::copy(weight.offsets.begin(), weight.offsets.end(), offsets.data<uint32_t>());
    std::copy(weight.columns.begin(), weight.columns.end(), columns.data<uint32_t>());
    std::copy(weight.values.begin(), weight.values.end(), values.data<float>());
    x.fill<float>(1, -1000, 1000, 1000);
  }
};

}  // namespace

Benchmark block_f32(const Parameters& shape) {
  const auto p = std::make_shared<Product>(shape);
  Benchmark benchmark;
  benchmark.arithmetic = Arithmetic::f32;
  // Only blocks that are there count as work.
  benchmark.operations = 2.0 * static_cast<double>(p->m * p->values.size());
  benchmark.bytes = static_cast<double>(p->x.bytes() + p->values.bytes() + p->columns.bytes() + p->y.bytes());
  benchmark.ours = [p] { call(tersor_cpu_backend()->block_gemm, p->x, &p->w, nullptr, p->y); };
  set_peer(benchmark, p, p->y, {.m = p->m, .n = p->n, .k = p->k, .x = p->x.data<float>(), .w = p->weight.dense.data()});
  return benchmark;
}

}  // namespace tersor::bench
