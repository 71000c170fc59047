// Convolutions of square images with "same" padding, forward or both gradients, against oneDNN in the layouts that it
// likes best (all of its operands reordered beforehand), and the FMA peak.
#include <memory>

#include "benchmark.h"
#include "operand.h"
#include "peer.h"

namespace tersor::bench {
namespace {

struct Layer {
  int64_t n, channels, size, outputs, kernel;
  tersor_convolution options;
  Operand x, w, y, dy, dx, dw;

  explicit Layer(const Parameters& shape)
      : n(shape["n"]),
        channels(shape["channels"]),
        size(shape["size"]),
        outputs(shape["outputs"]),
        kernel(shape["kernel"]),
        options{{1, 1}, {static_cast<int32_t>(kernel / 2), static_cast<int32_t>(kernel / 2)}, {1, 1}, 1},
        x(TERSOR_F32, {n, channels, size, size}),
        w(TERSOR_F32, {outputs, channels, kernel, kernel}),
        y(TERSOR_F32, {n, outputs, size, size}),
        dy(TERSOR_F32, {n, outputs, size, size}),
        dx(TERSOR_F32, {n, channels, size, size}),
        dw(TERSOR_F32, {outputs, channels, kernel, kernel}) {
    uint32_t seed = 1;
    for (const Operand* operand : {&x, &w, &dy}) operand->fill<float>(seed++, -999, 999, 999);
  }
};

}  // namespace

Benchmark conv2d(const Parameters& shape) {
  const auto p = std::make_shared<Layer>(shape);
  const bool gradient = shape["gradient"] != 0;
  const tersor_tensor* const no_bias = nullptr;
  Benchmark benchmark;
  benchmark.operations =
      (gradient ? 4.0 : 2.0) * static_cast<double>(p->y.size()) * static_cast<double>(p->w.size() / p->outputs);
  benchmark.bytes = static_cast<double>(p->x.bytes() + p->y.bytes() + p->w.bytes()) * (gradient ? 2 : 1);
  if (gradient) {
    benchmark.ours = [p, no_bias] {
      call(tersor_cpu_backend()->conv2d_gradient, p->x, p->w, &p->options, p->dy, p->dx, p->dw, no_bias);
    };
    return benchmark;
  }
  benchmark.ours = [p, no_bias] {
    call(tersor_cpu_backend()->conv2d, p->x, p->w, no_bias, &p->options, TERSOR_IDENTITY, p->y);
  };
  const Convolution convolution{p->n,      p->channels,        p->size,           p->outputs,
                                p->kernel, p->x.data<float>(), p->w.data<float>()};
  if (const std::optional<Peer> peer = convolution_peer(convolution)) {
    benchmark.peer = peer->run;
    benchmark.compare = [p, result = peer->result] { require_same(p->y, result()); };
  }
  return benchmark;
}

}  // namespace tersor::bench
