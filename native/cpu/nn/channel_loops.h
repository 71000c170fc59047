// The loops of channel_spans.h over vectors of any ISA. Every ISA file compiles them for itself (hence anonymous).
#pragma once

#include "cpu/nn/channel_spans.h"
#include "cpu/vector/lanes.h"

namespace tersor::cpu {
namespace {

template <typename Vector>
struct ChannelLoops {
  using Register = typename Vector::Register;

  // 0 in the lanes that are outside.
  template <typename Lanes>
  static Register centered(const float* x, float mean, Lanes lanes) {
    return lanes_or<Vector>(load_lanes<Vector>(x, lanes) - Vector::all(mean), 0.0f, lanes);
  }

  static double sum(const float* x, int64_t count) {
    return sum_vectors<Vector>(count, [=](int64_t i, auto lanes) { return load_lanes<Vector>(x + i, lanes); });
  }

  static double squares(const float* x, int64_t count, float mean) {
    return sum_vectors<Vector>(count, [=](int64_t i, auto lanes) {
      const Register from_mean = centered(x + i, mean, lanes);
      return from_mean * from_mean;
    });
  }

  static void affine(const float* x, int64_t count, float mean, float scale, float shift, float* y) {
    for_each_vector<Vector>(count, [=](int64_t i, auto lanes) {
      const Register from_mean = load_lanes<Vector>(x + i, lanes) - Vector::all(mean);
      store_lanes<Vector>(y + i, Vector::multiply_add(from_mean, Vector::all(scale), Vector::all(shift)), lanes);
    });
  }

  static ChannelSlopes slopes(const float* x, const float* dy, int64_t count, float mean) {
    return {sum(dy, count), sum_vectors<Vector>(count, [=](int64_t i, auto lanes) {
              return load_lanes<Vector>(dy + i, lanes) * centered(x + i, mean, lanes);
            })};
  }

  static void gradient(const float* x, const float* dy, int64_t count, float mean, float a, float b, float c,
                       float* dx) {
    for_each_vector<Vector>(count, [=](int64_t i, auto lanes) {
      const Register from_mean = load_lanes<Vector>(x + i, lanes) - Vector::all(mean);
      const Register rest = Vector::multiply_add(Vector::all(b), from_mean, Vector::all(c));
      const Register slope = load_lanes<Vector>(dy + i, lanes);
      store_lanes<Vector>(dx + i, Vector::multiply_add(Vector::all(a), slope, rest), lanes);
    });
  }
};

template <typename Vector>
constexpr ChannelSpans channel_spans() {
  using Loops = ChannelLoops<Vector>;
  return {Loops::sum, Loops::squares, Loops::affine, Loops::slopes, Loops::gradient};
}

}  // namespace
}  // namespace tersor::cpu
