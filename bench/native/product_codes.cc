// Rows in product codes of `bits` bits: sums of `lookups` random rows for each of `bags` bags, and the `k` best for
// each of `queries` queries. There is no peer; the limits are those of reading the codes.
#include <memory>
#include <random>

#include "benchmark.h"
#include "operand.h"

namespace tersor::bench {
namespace {

struct Codes {
  int64_t rows, columns, subspaces;
  int32_t bits;
  Operand bytes, centroids;
  tersor_product_table table;

  explicit Codes(const Parameters& shape)
      : rows(shape["rows"]),
        columns(shape["columns"]),
        subspaces(shape["subspaces"]),
        bits(static_cast<int32_t>(shape["bits"])),
        bytes(TERSOR_U8, {rows, subspaces * bits / 8}),
        centroids(TERSOR_F32, {subspaces, int64_t{1} << bits, columns / subspaces}),
        table{*static_cast<const tersor_tensor*>(bytes), *static_cast<const tersor_tensor*>(centroids)} {
    bytes.fill<uint8_t>(1, 0, 255);
    centroids.fill<float>(2, -1000, 1000, 1000);
    table.codes.dtype = bits == 8 ? TERSOR_U8 : TERSOR_U4;
    table.codes.shape[1] = subspaces;
  }
};

// Look-ups of one call after the other, so that a call does not find the last one's rows in its cache.
constexpr int64_t kCalls = 64;

struct LookUps {
  Codes codes;
  int64_t bags, count;
  Operand ids, offsets, y;
  int64_t call = 0;

  explicit LookUps(const Parameters& shape)
      : codes(shape),
        bags(shape["bags"]),
        count(bags * shape["lookups"]),
        ids(TERSOR_I32, {kCalls * count}),
        offsets(TERSOR_I32, {bags}),
        y(TERSOR_F32, {bags, codes.columns}) {
    std::minstd_rand random(2);
    for (int64_t i = 0; i < ids.size(); ++i) {
      ids.data<int32_t>()[i] = static_cast<int32_t>(random() % static_cast<uint32_t>(codes.rows));
    }
    for (int64_t bag = 0; bag < bags; ++bag) offsets.data<int32_t>()[bag] = static_cast<int32_t>(bag * count / bags);
  }

  void look_up() {
    tersor_tensor these = *static_cast<const tersor_tensor*>(ids);
    these.data = ids.data<int32_t>() + call++ % kCalls * count;
    these.shape[0] = count;
    const tersor_bags view{&these, offsets, nullptr, 0, TERSOR_BAG_SUM};
    bench::call(tersor_cpu_backend()->product_bag, &codes.table, &view, static_cast<const tersor_tensor*>(y));
  }
};

struct Queries {
  Codes codes;
  int64_t count;
  Operand queries, packed, ids, scores;
  tersor_product_index index{};

  explicit Queries(const Parameters& shape)
      : codes(shape),
        count(shape["queries"]),
        queries(TERSOR_F32, {count, codes.columns}),
        packed(TERSOR_U8, {tersor_cpu_backend()->product_search_bytes(codes.rows, codes.subspaces, codes.bits)}),
        ids(TERSOR_I32, {count, shape["k"]}),
        scores(TERSOR_F32, {count, shape["k"]}) {
    queries.fill<float>(3, -1000, 1000, 1000);
    call(tersor_cpu_backend()->pack_product_search, &codes.table.codes, static_cast<const tersor_tensor*>(packed));
    index = {*static_cast<const tersor_tensor*>(packed), codes.rows, codes.subspaces, codes.bits, 0};
  }
};

}  // namespace

Benchmark product_bag(const Parameters& shape) {
  const auto p = std::make_shared<LookUps>(shape);
  Benchmark benchmark;
  benchmark.random_rows = static_cast<double>(p->count);
  benchmark.row_bytes = p->codes.rows == kRandomRows ? p->codes.subspaces * p->codes.bits / 8 : 0;
  benchmark.ours = [p] { p->look_up(); };
  return benchmark;
}

Benchmark product_search(const Parameters& shape) {
  const auto p = std::make_shared<Queries>(shape);
  Benchmark benchmark;
  // An addition for each code and query; of one query, reading the codes takes longer.
  benchmark.operations = static_cast<double>(p->codes.rows * p->codes.subspaces * p->count);
  benchmark.bytes = static_cast<double>(p->packed.bytes());
  benchmark.ours = [p] {
    call(tersor_cpu_backend()->product_search, static_cast<const tersor_tensor*>(p->queries), &p->codes.table.centroids,
         &p->index, static_cast<const tersor_tensor*>(p->ids), static_cast<const tersor_tensor*>(p->scores));
  };
  return benchmark;
}

}  // namespace tersor::bench
