// Products with a weight of which `zeros` percent are zero, x[m,k] * w[n,k]^T, against the peer's dense product.
#include <concepts>
#include <memory>
#include <random>
#include <vector>

#include "benchmark.h"
#include "int8_layer.h"
#include "operand.h"
#include "peer.h"

namespace tersor::bench {
namespace {

// A weight with its zeros, and without them.
template <typename Value>
struct SparseWeight {
  std::vector<Value> dense;  // [n,k]
  std::vector<uint32_t> offsets{0}, columns;
  std::vector<Value> values;

  // Integers of +-1..largest.
  SparseWeight(int64_t n, int64_t k, int64_t zeros, int64_t largest = 127) {
    std::minstd_rand random(2);
    const auto integer = [&random](uint32_t below) { return static_cast<int64_t>((random() >> 8) % below); };
    dense.resize(static_cast<size_t>(n * k));
    for (int64_t row = 0; row < n; ++row) {
      for (int64_t column = 0; column < k; ++column) {
        if (integer(100) < zeros) continue;
        const auto value =
            static_cast<Value>((integer(2) == 0 ? 1 : -1) * (integer(static_cast<uint32_t>(largest)) + 1));
        dense[static_cast<size_t>(row * k + column)] = value;
        columns.push_back(static_cast<uint32_t>(column));
        values.push_back(value);
      }
      offsets.push_back(static_cast<uint32_t>(values.size()));
    }
  }

  // The places, counted from 1, of the values of another weight [n,k] or of its transpose.
  SparseWeight(const SparseWeight<float>& of, int64_t n, int64_t k,
               bool transposed) requires std::same_as<Value, uint32_t> {
    std::vector<uint32_t> place(of.dense.size());
    uint32_t next = 0;
    for (size_t i = 0; i < place.size(); ++i) place[i] = of.dense[i] == 0 ? 0 : ++next;
    for (int64_t row = 0; row < (transposed ? k : n); ++row) {
      for (int64_t column = 0; column < (transposed ? n : k); ++column) {
        const uint32_t at = place[static_cast<size_t>(transposed ? column * k + row : row * k + column)];
        if (at == 0) continue;
        columns.push_back(static_cast<uint32_t>(column));
        values.push_back(at);
      }
      offsets.push_back(static_cast<uint32_t>(values.size()));
    }
  }
};

// The weight in the backend's memory, as it comes and packed.
struct CsrOperand {
  Operand offsets, columns, values;
  tersor_csr csr;
  tersor_packed_csr packed;

  template <typename Value>
  CsrOperand(const SparseWeight<Value>& weight, tersor_dtype dtype, int64_t n, int64_t k)
      : offsets(TERSOR_U32, {n + 1}),
        columns(TERSOR_U32, {static_cast<int64_t>(weight.columns.size())}),
        values(dtype, {static_cast<int64_t>(weight.values.size())}),
        csr{.row_offsets = *static_cast<const tersor_tensor*>(offsets),
            .columns = *static_cast<const tersor_tensor*>(columns),
            .values = *static_cast<const tersor_tensor*>(values),
            .rows = n,
            .cols = k} {
    std::copy(weight.offsets.begin(), weight.offsets.end(), offsets.data<uint32_t>());
    std::copy(weight.columns.begin(), weight.columns.end(), columns.data<uint32_t>());
    if (dtype == TERSOR_U4) {
      auto* pairs = values.data<uint8_t>();
      std::fill(pairs, pairs + values.bytes(), uint8_t{0});
      for (size_t i = 0; i < weight.values.size(); ++i) {
        pairs[i / 2] = static_cast<uint8_t>(pairs[i / 2] | static_cast<int>(weight.values[i] + 8) << (i % 2 * 4));
      }
    } else {
      std::copy(weight.values.begin(), weight.values.end(), values.data<Value>());
    }
    const Operand bytes(TERSOR_I64, {1});
    call(tersor_cpu_backend()->csr_packed_bytes, &csr, bytes);
    storage_ = std::make_unique<Operand>(TERSOR_U8, std::initializer_list<int64_t>{*bytes.data<int64_t>()});
    call(tersor_cpu_backend()->pack_csr, &csr, *storage_);
    packed = {.packed = *static_cast<const tersor_tensor*>(*storage_), .rows = n, .cols = k};
  }

  // Of the nonzeros, not of how they are packed.
  size_t bytes() const { return offsets.bytes() + columns.bytes() + values.bytes(); }

 private:
  std::unique_ptr<Operand> storage_;
};

// Where the nonzeros of a weight, or of its transpose, have their values, as training needs it.
struct CsrPlaces {
  SparseWeight<uint32_t> places;
  CsrOperand operand;

  CsrPlaces(const SparseWeight<float>& weight, int64_t n, int64_t k, bool transposed)
      : places(weight, n, k, transposed), operand(places, TERSOR_U32, transposed ? k : n, transposed ? n : k) {}
};

// The gradients of a product with a weight [n,k] by its input and by its nonzeros, from those of its output.
struct Gradients {
  int64_t m, n, k;
  SparseWeight<float> weight;
  CsrPlaces rows, columns;
  Operand x, dy, values, dx, dvalues, packed;
  tersor_packed_csr transposed;

  explicit Gradients(const Parameters& shape)
      : m(shape["m"]),
        n(shape["n"]),
        k(shape["k"]),
        weight(n, k, shape["zeros"]),
        rows(weight, n, k, false),
        columns(weight, n, k, true),
        x(TERSOR_F32, {m, k}),
        dy(TERSOR_F32, {m, n}),
        values(TERSOR_F32, {static_cast<int64_t>(weight.values.size())}),
        dx(TERSOR_F32, {m, k}),
        dvalues(TERSOR_F32, {static_cast<int64_t>(weight.values.size())}),
        packed(TERSOR_U8, {columns.operand.packed.packed.shape[0]}),
        transposed{.packed = *static_cast<const tersor_tensor*>(packed), .rows = k, .cols = n} {
    x.fill<float>(1, -1000, 1000, 1000);
    dy.fill<float>(5, -1000, 1000, 1000);
    std::copy(weight.values.begin(), weight.values.end(), values.data<float>());
  }

  // Only nonzeros count as work.
  Benchmark work() const {
    Benchmark benchmark;
    benchmark.arithmetic = Arithmetic::f32;
    benchmark.operations = 2.0 * static_cast<double>(m * values.size());
    benchmark.bytes = static_cast<double>(x.bytes() + dy.bytes() + values.bytes());
    return benchmark;
  }
};

struct FloatProduct {
  int64_t m, n, k;
  SparseWeight<float> weight;
  CsrOperand w;
  Operand x, y;

  explicit FloatProduct(const Parameters& shape)
      : m(shape["m"]),
        n(shape["n"]),
        k(shape["k"]),
        weight(n, k, shape["zeros"]),
        w(weight, TERSOR_F32, n, k),
        x(TERSOR_F32, {m, k}),
        y(TERSOR_F32, {m, n}) {
    x.fill<float>(1, -1000, 1000, 1000);
  }
};

struct Int8Product : Int8Layer {
  SparseWeight<int8_t> weight;
  CsrOperand w;

  explicit Int8Product(const Parameters& shape)
      : Int8Layer(shape),
        weight(n, k, shape["zeros"], shape["bits"] == 4 ? 7 : 127),
        w(weight, shape["bits"] == 4 ? TERSOR_U4 : TERSOR_I8, n, k) {
    for (int64_t row = 0; row < n; ++row) {
      for (uint32_t j = weight.offsets[static_cast<size_t>(row)]; j < weight.offsets[static_cast<size_t>(row + 1)]; ++j)
        row_sums.data<int32_t>()[row] += weight.values[j];
    }
  }
};

// Only nonzeros count as work.
template <typename Product>
Benchmark work_of(const Product& p, Arithmetic arithmetic) {
  Benchmark benchmark;
  benchmark.arithmetic = arithmetic;
  benchmark.operations = 2.0 * static_cast<double>(p.m * p.w.values.size());
  benchmark.bytes = static_cast<double>(p.x.bytes() + p.w.bytes() + p.y.bytes());
  return benchmark;
}

}  // namespace

Benchmark csr_f32(const Parameters& shape) {
  const auto p = std::make_shared<FloatProduct>(shape);
  Benchmark benchmark = work_of(*p, Arithmetic::f32);
  benchmark.ours = [p] { call(tersor_cpu_backend()->csr_gemm, p->x, &p->w.packed, nullptr, p->y); };
  set_peer(benchmark, p, p->y, {.m = p->m, .n = p->n, .k = p->k, .x = p->x.data<float>(), .w = p->weight.dense.data()});
  return benchmark;
}

Benchmark csr_int8(const Parameters& shape) {
  const auto p = std::make_shared<Int8Product>(shape);
  Benchmark benchmark = work_of(*p, Arithmetic::int8);
  benchmark.ours = [p] { call(tersor_cpu_backend()->csr_gemm_int8, p->x, &p->w.packed, &p->epilogue, p->y); };
  set_peer(benchmark, p, p->y, p->dense(p->weight.dense.data()));
  return benchmark;
}

// As training meets it: the values are new at every step, for us and for the peer.
Benchmark csr_transposed(const Parameters& shape) {
  const auto p = std::make_shared<Gradients>(shape);
  Benchmark benchmark = p->work();
  benchmark.ours = [p] {
    call(tersor_cpu_backend()->csr_set_values, &p->columns.operand.packed, p->values, p->packed);
    call(tersor_cpu_backend()->csr_gemm, p->dy, &p->transposed, nullptr, p->dx);
  };
  set_peer(benchmark, p, p->dx,
           {.m = p->m,
            .n = p->k,
            .k = p->n,
            .x = p->dy.data<float>(),
            .w = p->weight.dense.data(),
            .transpose_w = false,
            .fixed_w = false});
  return benchmark;
}

Benchmark csr_sddmm(const Parameters& shape) {
  const auto p = std::make_shared<Gradients>(shape);
  Benchmark benchmark = p->work();
  benchmark.ours = [p] { call(tersor_cpu_backend()->csr_sddmm, p->dy, p->x, &p->rows.operand.packed, p->dvalues); };
  const std::optional<Peer> peer = dense_peer({.m = p->n,
                                               .n = p->k,
                                               .k = p->m,
                                               .x = p->dy.data<float>(),
                                               .transpose_x = true,
                                               .w = p->x.data<float>(),
                                               .transpose_w = false,
                                               .fixed_w = false});
  if (!peer) return benchmark;
  benchmark.peer = peer->run;
  benchmark.compare = [p, result = peer->result] {
    std::vector<float> sampled;
    for (size_t i = 0; i < p->weight.dense.size(); ++i) {
      if (p->weight.dense[i] != 0) sampled.push_back(result()[i]);
    }
    require_same(p->dvalues, sampled.data());
  };
  return benchmark;
}

}  // namespace tersor::bench
