// Sums of `lookups` random rows for each of `bags` bags, from a table of `rows` rows of `columns` columns, `bits` an
// element (16: bf16). There is no peer; the limit is that of reading the rows.
#include <cstring>
#include <memory>
#include <random>

#include "benchmark.h"
#include "operand.h"

namespace tersor::bench {
namespace {

// Look-ups of one call after the other, so that a call does not find the last one's rows in its cache.
constexpr int64_t kCalls = 64;

struct LookUps {
  int64_t rows, columns, bags, count;
  int32_t bits;
  Operand table, ids, offsets, y;
  int64_t call = 0;

  explicit LookUps(const Parameters& shape)
      : rows(shape["rows"]),
        columns(shape["columns"]),
        bags(shape["bags"]),
        count(bags * shape["lookups"]),
        bits(static_cast<int32_t>(shape["bits"])),
        table(bits == 32   ? TERSOR_F32
              : bits == 16 ? TERSOR_BF16
                           : TERSOR_U8,
              {rows, bits > 8 ? columns : columns * bits / 8 + 8}),
        ids(TERSOR_I32, {kCalls * count}),
        offsets(TERSOR_I32, {bags}),
        y(TERSOR_F32, {bags, columns}) {
    if (bits == 32) {
      table.fill<float>(1, -1000, 1000, 1000);
    } else if (bits == 16) {
      table.fill<uint16_t>(1, 0x3c00, 0x3fff);  // from 2^-7 to 2
    } else {
      const float parameters[2] = {0.01f, -1.0f};
      table.fill<uint8_t>(1, 0, 255);
      for (int64_t row = 0; row < rows; ++row) {
        std::memcpy(table.data<uint8_t>() + (row + 1) * row_bytes() - 8, parameters, sizeof parameters);
      }
    }
    std::minstd_rand random(2);
    for (int64_t i = 0; i < ids.size(); ++i) {
      ids.data<int32_t>()[i] = static_cast<int32_t>(random() % static_cast<uint32_t>(rows));
    }
    for (int64_t bag = 0; bag < bags; ++bag) offsets.data<int32_t>()[bag] = static_cast<int32_t>(bag * count / bags);
  }

  int64_t row_bytes() const { return bits > 8 ? columns * bits / 8 : columns * bits / 8 + 8; }

  void look_up() {
    tersor_tensor these = *static_cast<const tersor_tensor*>(ids);
    these.data = ids.data<int32_t>() + call++ % kCalls * count;
    these.shape[0] = count;
    const tersor_embedding embedding{*static_cast<const tersor_tensor*>(table), columns, bits};
    const tersor_bags view{&these, offsets, nullptr, 0, TERSOR_BAG_SUM};
    bench::call(tersor_cpu_backend()->embedding_bag, &embedding, &view, static_cast<const tersor_tensor*>(y));
  }
};

}  // namespace

Benchmark embedding_bag(const Parameters& shape) {
  const auto p = std::make_shared<LookUps>(shape);
  Benchmark benchmark;
  benchmark.random_rows = static_cast<double>(p->count);
  benchmark.row_bytes = p->rows == kRandomRows ? p->row_bytes() : 0;
  benchmark.ours = [p] { p->look_up(); };
  return benchmark;
}

}  // namespace tersor::bench
