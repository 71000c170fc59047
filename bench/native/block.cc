// Products with a weight of which `zeros` percent of the blocks of rows x cols elements are zero, x[m,k] * w[n,k]^T,
// against the peer's dense product of the same type.
#include <memory>
#include <random>
#include <type_traits>
#include <vector>

#include "benchmark.h"
#include "int8_layer.h"
#include "operand.h"
#include "peer.h"

namespace tersor::bench {
namespace {

// A weight with its zeros, and its blocks.
template <typename T>
struct BlockWeight {
  std::vector<T> dense;  // [n,k]
  std::vector<uint32_t> offsets{0}, columns;
  std::vector<T> values;

  // element(integer below 2001) makes a value.
  template <typename Element>
  BlockWeight(const Parameters& shape, Element&& element) {
    const int64_t n = shape["n"], k = shape["k"], rows = shape["rows"], cols = shape["cols"], zeros = shape["zeros"];
    std::minstd_rand random(2);
    const auto integer = [&random](uint32_t below) { return static_cast<int64_t>((random() >> 8) % below); };
    dense.resize(static_cast<size_t>(n * k));
    for (int64_t row = 0; row < n; row += rows) {
      for (int64_t column = 0; column < k; column += cols) {
        if (integer(100) < zeros) continue;
        columns.push_back(static_cast<uint32_t>(column / cols));
        for (int64_t i = 0; i < rows * cols; ++i) {
          // f32 goes by columns, i8 by rows.
          const bool by_rows = std::is_same_v<T, int8_t>;
          const int64_t r = row + (by_rows ? i / cols : i % rows), c = column + (by_rows ? i % cols : i / rows);
          const bool inside = r < n && c < k;
          values.push_back(inside ? element(integer(2001)) : T{});
          if (inside) dense[static_cast<size_t>(r * k + c)] = values.back();
        }
      }
      offsets.push_back(static_cast<uint32_t>(columns.size()));
    }
  }
};

// The same in the backend's memory.
template <typename T>
struct BlockOperand {
  BlockWeight<T> weight;
  Operand offsets, columns, values;
  tersor_blocks view;

  template <typename Element>
  BlockOperand(const Parameters& shape, tersor_dtype dtype, Element&& element)
      : weight(shape, element),
        offsets(TERSOR_U32, {static_cast<int64_t>(weight.offsets.size())}),
        columns(TERSOR_U32, {static_cast<int64_t>(weight.columns.size())}),
        values(dtype, {static_cast<int64_t>(weight.values.size()) / (dtype == TERSOR_U8 ? 2 : 1)}),
        view{.panel_offsets = *offsets,
             .columns = *columns,
             .values = *values,
             .rows = shape["n"],
             .cols = shape["k"],
             .block_rows = static_cast<int32_t>(shape["rows"]),
             .block_cols = static_cast<int32_t>(shape["cols"])} {
    std::copy(weight.offsets.begin(), weight.offsets.end(), offsets.template data<uint32_t>());
    std::copy(weight.columns.begin(), weight.columns.end(), columns.template data<uint32_t>());
    if (dtype != TERSOR_U8) {
      std::copy(weight.values.begin(), weight.values.end(), values.template data<T>());
      return;
    }
    const int64_t half = shape["rows"] * shape["cols"] / 2;
    for (int64_t i = 0; i < values.size(); ++i) {
      const T* first = &weight.values[static_cast<size_t>(i + i / half * half)];
      values.template data<uint8_t>()[i] =
          static_cast<uint8_t>((static_cast<int>(first[0]) + 8) | (static_cast<int>(first[half]) + 8) << 4);
    }
  }
};

struct FloatProduct {
  int64_t m, n, k;
  BlockOperand<float> w;
  Operand x, y;

  explicit FloatProduct(const Parameters& shape)
      : m(shape["m"]),
        n(shape["n"]),
        k(shape["k"]),
        w(shape, TERSOR_F32, [](int64_t integer) { return static_cast<float>(integer - 1000) / 1000; }),
        x(TERSOR_F32, {m, k}),
        y(TERSOR_F32, {m, n}) {
    x.fill<float>(1, -1000, 1000, 1000);
  }
};

struct IntegerProduct : Int8Layer {
  BlockOperand<int8_t> w;
  tersor_int8_codes input{1, 0};

  explicit IntegerProduct(const Parameters& shape)
      : Int8Layer(shape),
        w(shape, shape["bits"] == 4 ? TERSOR_U8 : TERSOR_I8, [high = shape["bits"] == 4 ? 7 : 127](int64_t integer) {
          return static_cast<int8_t>(integer % (2 * high + 1) - high);
        }) {}
};

// Only blocks that are there count as work.
template <typename Product>
Benchmark work_of(const Product& p, Arithmetic arithmetic) {
  Benchmark benchmark;
  benchmark.arithmetic = arithmetic;
  benchmark.operations = 2.0 * static_cast<double>(p.m * static_cast<int64_t>(p.w.weight.values.size()));
  benchmark.bytes = static_cast<double>(p.x.bytes() + p.w.values.bytes() + p.w.columns.bytes() + p.y.bytes());
  return benchmark;
}

}  // namespace

Benchmark block_f32(const Parameters& shape) {
  const auto p = std::make_shared<FloatProduct>(shape);
  Benchmark benchmark = work_of(*p, Arithmetic::f32);
  benchmark.ours = [p] { call(tersor_cpu_backend()->block_gemm, p->x, &p->w.view, nullptr, p->y); };
  set_peer(benchmark, p, p->y,
           {.m = p->m, .n = p->n, .k = p->k, .x = p->x.data<float>(), .w = p->w.weight.dense.data()});
  return benchmark;
}

Benchmark block_int8(const Parameters& shape) {
  const auto p = std::make_shared<IntegerProduct>(shape);
  Benchmark benchmark = work_of(*p, Arithmetic::int8);
  benchmark.ours = [p] {
    call(tersor_cpu_backend()->block_gemm_int8, p->x, &p->w.view, &p->input, p->scales, p->row_sums, nullptr, p->y);
  };
  set_peer(benchmark, p, p->y, p->dense(p->w.weight.dense.data()));
  return benchmark;
}

}  // namespace tersor::bench
