// The loops of normalize_rows.h over vectors of any ISA. Every ISA file compiles them for itself (hence anonymous).
#pragma once

#include <cmath>

#include "cpu/nn/normalize_rows.h"
#include "cpu/vector/lanes.h"

namespace tersor::cpu {
namespace {

template <typename Vector>
struct NormalizeLoops {
  using Register = typename Vector::Register;

  struct Statistics {
    float mean, factor;  // factor = 1 / sqrt(variance + epsilon)
  };

  static Statistics statistics_of(const Normalization& norm, const float* x, int64_t columns) {
    const auto count = static_cast<double>(columns);
    float mean = 0;
    if (norm.center) {
      const double sum =
          sum_vectors<Vector>(columns, [=](int64_t i, auto lanes) { return load_lanes<Vector>(x + i, lanes); });
      mean = static_cast<float>(sum / count);
    }
    const double squares = sum_vectors<Vector>(columns, [=](int64_t i, auto lanes) {
      const Register d = lanes_or<Vector>(load_lanes<Vector>(x + i, lanes) - Vector::all(mean), 0.0f, lanes);
      return d * d;
    });
    return {mean, static_cast<float>(1.0 / std::sqrt(squares / count + static_cast<double>(norm.epsilon)))};
  }

  template <typename Lanes>
  static Register weight_at(const Normalization& norm, int64_t i, Lanes lanes) {
    return norm.weight == nullptr ? Vector::all(1.0f) : load_lanes<Vector>(norm.weight + i, lanes);
  }

  static void normalize(const Normalization& norm, const float* x, int64_t columns, float* y) {
    const Statistics s = statistics_of(norm, x, columns);
    for_each_vector<Vector>(columns, [&](int64_t i, auto lanes) {
      Register v = (load_lanes<Vector>(x + i, lanes) - Vector::all(s.mean)) * Vector::all(s.factor);
      if (norm.weight != nullptr) v = v * load_lanes<Vector>(norm.weight + i, lanes);
      if (norm.bias != nullptr) v = v + load_lanes<Vector>(norm.bias + i, lanes);
      store_lanes<Vector>(y + i, v, lanes);
    });
  }

  // With z the normalized row and g = dy * weight: dx = factor * (g - mean(g) - z * mean(g * z)); an RMS norm has no
  // mean(g).
  static void gradient(const Normalization& norm, const float* x, const float* dy, int64_t columns, float* dx,
                       float* weight_gradient, float* bias_gradient) {
    const Statistics s = statistics_of(norm, x, columns);
    const auto normalized = [=](int64_t i, auto lanes) {
      return (load_lanes<Vector>(x + i, lanes) - Vector::all(s.mean)) * Vector::all(s.factor);
    };
    if (weight_gradient != nullptr) {
      for_each_vector<Vector>(columns, [&](int64_t i, auto lanes) {
        const Register sum = load_lanes<Vector>(weight_gradient + i, lanes);
        const Register z = normalized(i, lanes);
        store_lanes<Vector>(weight_gradient + i, Vector::multiply_add(load_lanes<Vector>(dy + i, lanes), z, sum),
                            lanes);
      });
    }
    if (bias_gradient != nullptr) {
      for_each_vector<Vector>(columns, [&](int64_t i, auto lanes) {
        const Register sum = load_lanes<Vector>(bias_gradient + i, lanes);
        store_lanes<Vector>(bias_gradient + i, sum + load_lanes<Vector>(dy + i, lanes), lanes);
      });
    }
    if (dx == nullptr) return;

    const auto count = static_cast<double>(columns);
    const auto slope = [&](int64_t i, auto lanes) {
      return load_lanes<Vector>(dy + i, lanes) * weight_at(norm, i, lanes);
    };
    const double along = sum_vectors<Vector>(columns, [&](int64_t i, auto lanes) {
      return lanes_or<Vector>(slope(i, lanes) * normalized(i, lanes), 0.0f, lanes);
    });
    const double sum = norm.center ? sum_vectors<Vector>(columns, slope) : 0.0;
    const Register mean_along = Vector::all(static_cast<float>(along / count));
    const Register mean = Vector::all(static_cast<float>(sum / count));
    for_each_vector<Vector>(columns, [&](int64_t i, auto lanes) {
      const Register d = slope(i, lanes) - mean - normalized(i, lanes) * mean_along;
      store_lanes<Vector>(dx + i, d * Vector::all(s.factor), lanes);
    });
  }
};

template <typename Vector>
constexpr NormalizeRows normalize_rows() {
  return {NormalizeLoops<Vector>::normalize, NormalizeLoops<Vector>::gradient};
}

}  // namespace
}  // namespace tersor::cpu
