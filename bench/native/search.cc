// The `k` best of `rows` int8 vectors of `columns` columns for each of `queries` queries. There is no peer; the limit
// is that of the products, or of reading the vectors once.
#include <memory>

#include "benchmark.h"
#include "operand.h"

namespace tersor::bench {
namespace {

struct Queries {
  int64_t rows, columns, count, k;
  Operand vectors, queries, packed, ids, scores;
  tersor_search_index index{};

  explicit Queries(const Parameters& shape)
      : rows(shape["rows"]),
        columns(shape["columns"]),
        count(shape["queries"]),
        k(shape["k"]),
        vectors(TERSOR_I8, {rows, columns}),
        queries(TERSOR_I8, {count, columns}),
        packed(TERSOR_U8, {tersor_cpu_backend()->search_bytes(rows, columns, TERSOR_SEARCH_INT8)}),
        ids(TERSOR_I32, {count, k}),
        scores(TERSOR_I32, {count, k}) {
    vectors.fill<int8_t>(1, -127, 127);
    queries.fill<int8_t>(2, -127, 127);
    call(tersor_cpu_backend()->pack_search, static_cast<const tersor_tensor*>(vectors), 0,
         static_cast<const tersor_tensor*>(packed));
    index = {*static_cast<const tersor_tensor*>(packed), rows, columns, TERSOR_SEARCH_INT8, 0};
  }
};

}  // namespace

Benchmark search_int8(const Parameters& shape) {
  const auto p = std::make_shared<Queries>(shape);
  Benchmark benchmark;
  benchmark.arithmetic = Arithmetic::int8;
  benchmark.operations = 2.0 * static_cast<double>(p->rows * p->columns * p->count);
  benchmark.bytes = static_cast<double>(p->packed.bytes());
  benchmark.ours = [p] {
    call(tersor_cpu_backend()->search, static_cast<const tersor_tensor*>(p->queries), &p->index,
         static_cast<const tersor_tensor*>(p->ids), static_cast<const tersor_tensor*>(p->scores));
  };
  return benchmark;
}

}  // namespace tersor::bench
