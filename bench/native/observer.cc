// Observers of activations: how long a value takes to be counted, against the reads of the memory that holds it.
#include <limits>
#include <memory>

#include "benchmark.h"
#include "operand.h"

namespace tersor::bench {
namespace {

struct Observed {
  Operand x, counts, grid, range, clipped;

  explicit Observed(const Parameters& shape)
      : x(TERSOR_F32, {shape["n"]}),
        counts(TERSOR_I64, {TERSOR_HISTOGRAM_BINS}),
        grid(TERSOR_I32, {2}),
        range(TERSOR_F32, {2}),
        clipped(TERSOR_F32, {2}) {
    x.fill<float>(1, shape["relu"] != 0 ? -1000 : 0, 1000, 333);
    for (int64_t i = 0; i < x.size(); ++i) x.data<float>()[i] = std::max(0.0f, x.data<float>()[i]);
    range.data<float>()[0] = range.data<float>()[1] = std::numeric_limits<float>::quiet_NaN();
    const tersor_histogram histogram = view();
    call(tersor_cpu_backend()->histogram_add, x, &histogram);
  }
  tersor_histogram view() const { return {*counts, *grid, *range}; }
};

}  // namespace

Benchmark histogram(const Parameters& shape) {
  const auto p = std::make_shared<Observed>(shape);
  Benchmark benchmark;
  benchmark.bytes = static_cast<double>(p->x.bytes());
  benchmark.operations = 1;  // next to none of arithmetic
  benchmark.ours = [p, view = p->view()] { call(tersor_cpu_backend()->histogram_add, p->x, &view); };
  return benchmark;
}

Benchmark histogram_clip(const Parameters& shape) {
  const auto p = std::make_shared<Observed>(shape);
  Benchmark benchmark;
  benchmark.ours = [p, view = p->view()] { call(tersor_cpu_backend()->histogram_clip, &view, 255, p->clipped); };
  return benchmark;
}

}  // namespace tersor::bench
