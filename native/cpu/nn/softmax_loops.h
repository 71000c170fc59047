// The loops of softmax_rows.h over vectors of any ISA. Every ISA file compiles them for itself (hence anonymous).
#pragma once

#include <cmath>

#include "cpu/nn/softmax_rows.h"
#include "cpu/vector/exponential.h"
#include "cpu/vector/lanes.h"

namespace tersor::cpu {
namespace {

template <typename Vector>
struct SoftmaxLoops {
  using Register = typename Vector::Register;
  static constexpr int kWidth = Vector::kWidth;

  // NaNs do not count here: they show in the sum of exponentials.
  static float largest(const float* x, int64_t columns) {
    Register best[4];
    for (Register& b : best) b = Vector::all(-HUGE_VALF);
    int64_t i = 0;
    for (; i + 4 * kWidth <= columns; i += 4 * kWidth) {
#pragma GCC unroll 4
      for (int u = 0; u < 4; ++u) best[u] = Vector::max(Vector::load(x + i + u * kWidth), best[u]);
    }
    for (; i + kWidth <= columns; i += kWidth) best[0] = Vector::max(Vector::load(x + i), best[0]);
    float lanes[kWidth];
    Vector::store(lanes, Vector::max(Vector::max(best[0], best[1]), Vector::max(best[2], best[3])));
    for (; i < columns; ++i) lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
    for (int l = 1; l < kWidth; ++l) lanes[0] = lanes[l] > lanes[0] ? lanes[l] : lanes[0];
    return lanes[0];
  }

  // exp(scale (x - shift)), 0 in lanes outside.
  template <typename Lanes>
  static Register power(const float* x, Lanes lanes, float scale, float shift) {
    const Register e =
        exp_of_nonpositive_vector<Vector>((load_lanes<Vector>(x, lanes) - Vector::all(shift)) * Vector::all(scale));
    return lanes_or<Vector>(e, 0.0f, lanes);
  }

  // The sum of exp(scale (x - shift)); the terms too when `y` is not null.
  static double sum_of_powers(const float* x, int64_t columns, float scale, float shift, float* y) {
    return sum_vectors<Vector>(columns, [=](int64_t i, auto lanes) {
      const Register e = power(x + i, lanes, scale, shift);
      if (y != nullptr) store_lanes<Vector>(y + i, e, lanes);
      return e;
    });
  }

  static void multiply(float* y, int64_t columns, float factor) {
    for_each_vector<Vector>(columns, [=](int64_t i, auto lanes) {
      store_lanes<Vector>(y + i, load_lanes<Vector>(y + i, lanes) * Vector::all(factor), lanes);
    });
  }

  static void softmax(const float* x, int64_t columns, float* y) {
    const double total = sum_of_powers(x, columns, 1.0f, largest(x, columns), y);
    multiply(y, columns, static_cast<float>(1.0 / total));
  }

  static void softmax_gradient(const float* y, const float* dy, int64_t columns, float* dx) {
    const auto inner = static_cast<float>(sum_vectors<Vector>(columns, [=](int64_t i, auto lanes) {
      return load_lanes<Vector>(y + i, lanes) * load_lanes<Vector>(dy + i, lanes);
    }));
    for_each_vector<Vector>(columns, [=](int64_t i, auto lanes) {
      const Register slope = load_lanes<Vector>(dy + i, lanes) - Vector::all(inner);
      store_lanes<Vector>(dx + i, load_lanes<Vector>(y + i, lanes) * slope, lanes);
    });
  }

  static void log_softmax(const float* x, int64_t columns, float* y) {
    const float shift = largest(x, columns);
    const auto logarithm = static_cast<float>(std::log(sum_of_powers(x, columns, 1.0f, shift, nullptr)));
    for_each_vector<Vector>(columns, [=](int64_t i, auto lanes) {
      const Register shifted = load_lanes<Vector>(x + i, lanes) - Vector::all(shift);
      store_lanes<Vector>(y + i, shifted - Vector::all(logarithm), lanes);
    });
  }

  static void log_softmax_gradient(const float* y, const float* dy, int64_t columns, float* dx) {
    const auto total = static_cast<float>(
        sum_vectors<Vector>(columns, [=](int64_t i, auto lanes) { return load_lanes<Vector>(dy + i, lanes); }));
    for_each_vector<Vector>(columns, [=](int64_t i, auto lanes) {
      const Register p = exp_of_nonpositive_vector<Vector>(load_lanes<Vector>(y + i, lanes));
      store_lanes<Vector>(dx + i, load_lanes<Vector>(dy + i, lanes) - p * Vector::all(total), lanes);
    });
  }

  static double cross_entropy(const float* logits, int64_t columns, int64_t label, float factor, float* gradient) {
    const float shift = largest(logits, columns), chosen = logits[label];
    const double total = sum_of_powers(logits, columns, 1.0f, shift, gradient);
    if (gradient != nullptr) {
      const auto part = static_cast<float>(1.0 / total);
      // Before it is scaled: 1 - p keeps more digits than factor - factor * p.
      const float slope = (gradient[label] * part - 1.0f) * factor;
      multiply(gradient, columns, part * factor);
      gradient[label] = slope;
    }
    return std::log(total) - static_cast<double>(chosen - shift);
  }

  static double divergence(const float* student, const float* teacher, int64_t columns, float scale, float factor,
                           float* gradient) {
    const float s_shift = largest(student, columns), t_shift = largest(teacher, columns);
    const double s_total = sum_of_powers(student, columns, scale, s_shift, nullptr);
    const double t_total = sum_of_powers(teacher, columns, scale, t_shift, nullptr);
    const auto s_part = static_cast<float>(1.0 / s_total), t_part = static_cast<float>(1.0 / t_total);
    const double weighted = sum_vectors<Vector>(columns, [=](int64_t i, auto lanes) {
      const Register t = load_lanes<Vector>(teacher + i, lanes) - Vector::all(t_shift);
      const Register s = load_lanes<Vector>(student + i, lanes) - Vector::all(s_shift);
      const Register e = lanes_or<Vector>(exp_of_nonpositive_vector<Vector>(t * Vector::all(scale)), 0.0f, lanes);
      if (gradient != nullptr) {
        const Register p = exp_of_nonpositive_vector<Vector>(s * Vector::all(scale)) * Vector::all(s_part);
        store_lanes<Vector>(gradient + i, (p - e * Vector::all(t_part)) * Vector::all(factor), lanes);
      }
      const Register none = Vector::all(0.0f);
      return e == none ? none : e * ((t - s) * Vector::all(scale));
    });
    return weighted / t_total - (std::log(t_total) - std::log(s_total));
  }
};

template <typename Vector>
constexpr SoftmaxRows softmax_rows() {
  using Loops = SoftmaxLoops<Vector>;
  return {Loops::softmax,       Loops::softmax_gradient, Loops::log_softmax, Loops::log_softmax_gradient,
          Loops::cross_entropy, Loops::divergence};
}

}  // namespace
}  // namespace tersor::cpu
