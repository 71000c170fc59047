// The loops of optimizer_spans.h over vectors of any ISA. Every ISA file compiles them for itself (hence anonymous).
#pragma once

#include "cpu/nn/optimizer_spans.h"
#include "cpu/vector/lanes.h"

namespace tersor::cpu {
namespace {

template <typename Vector>
struct OptimizerLoops {
  using Register = typename Vector::Register;

  static void sgd(const SgdCoefficients& c, int64_t count, float* p, const float* g, float* v) {
    for_each_vector<Vector>(count, [&](int64_t i, auto lanes) {
      const Register at = load_lanes<Vector>(p + i, lanes);
      const Register gradient = load_lanes<Vector>(g + i, lanes) * Vector::all(c.clip);
      const Register slope = Vector::multiply_add(Vector::all(c.decay), at, gradient);
      Register step = slope;
      if (v != nullptr) {
        const Register velocity =
            Vector::multiply_add(Vector::all(c.momentum), load_lanes<Vector>(v + i, lanes), slope);
        store_lanes<Vector>(v + i, velocity, lanes);
        step = Vector::all(c.look) * slope + Vector::all(c.along) * velocity;
      }
      store_lanes<Vector>(p + i, at - Vector::all(c.rate) * step, lanes);
    });
  }

  struct Moments {
    Register first, second;
  };

  // Of the gradient, moved in place.
  template <typename Lanes>
  static Moments moments(const AdamCoefficients& c, Register slope, float* m, float* v, Lanes lanes) {
    const Register first =
        Vector::multiply_add(Vector::all(c.beta1), load_lanes<Vector>(m, lanes), Vector::all(1.0f - c.beta1) * slope);
    const Register second = Vector::multiply_add(Vector::all(c.beta2), load_lanes<Vector>(v, lanes),
                                                 Vector::all(1.0f - c.beta2) * slope * slope);
    store_lanes<Vector>(m, first, lanes);
    store_lanes<Vector>(v, second, lanes);
    return {first, second};
  }

  static void adam(const AdamCoefficients& c, int64_t count, float* p, const float* g, float* m, float* v) {
    for_each_vector<Vector>(count, [&](int64_t i, auto lanes) {
      const Register at = load_lanes<Vector>(p + i, lanes);
      const Register gradient = load_lanes<Vector>(g + i, lanes) * Vector::all(c.clip);
      const Register slope = Vector::multiply_add(Vector::all(c.decay), at, gradient);
      const auto [first, second] = moments(c, slope, m + i, v + i, lanes);
      const Register size = Vector::multiply_add(Vector::sqrt(second), Vector::all(c.root), Vector::all(c.epsilon));
      store_lanes<Vector>(p + i, Vector::all(c.keep) * at - Vector::all(c.rate) * first / size, lanes);
    });
  }

  static void rms(const RmsCoefficients& c, int64_t count, float* p, const float* g, float* s) {
    for_each_vector<Vector>(count, [&](int64_t i, auto lanes) {
      const Register at = load_lanes<Vector>(p + i, lanes);
      const Register gradient = load_lanes<Vector>(g + i, lanes) * Vector::all(c.clip);
      const Register slope = Vector::multiply_add(Vector::all(c.decay), at, gradient);
      const Register sum = Vector::multiply_add(Vector::all(c.keep), load_lanes<Vector>(s + i, lanes),
                                                Vector::all(c.add) * slope * slope);
      store_lanes<Vector>(s + i, sum, lanes);
      const Register size = Vector::sqrt(sum) + Vector::all(c.epsilon);
      store_lanes<Vector>(p + i, at - Vector::all(c.rate) * slope / size, lanes);
    });
  }

  static Register lamb_direction(const AdamCoefficients& c, Register at, Register first, Register second) {
    const Register size = Vector::multiply_add(Vector::sqrt(second), Vector::all(c.root), Vector::all(c.epsilon));
    return Vector::multiply_add(Vector::all(c.decay), at, Vector::all(c.rate) * first / size);
  }

  static double lamb_moments(const AdamCoefficients& c, int64_t count, const float* p, const float* g, float* m,
                             float* v) {
    return sum_vectors<Vector>(count, [&](int64_t i, auto lanes) {
      const Register gradient = load_lanes<Vector>(g + i, lanes) * Vector::all(c.clip);
      const auto [first, second] = moments(c, gradient, m + i, v + i, lanes);
      const Register u = lamb_direction(c, load_lanes<Vector>(p + i, lanes), first, second);
      return u * u;
    });
  }

  static void lamb(const AdamCoefficients& c, float step, int64_t count, float* p, const float* m, const float* v) {
    for_each_vector<Vector>(count, [&](int64_t i, auto lanes) {
      const Register at = load_lanes<Vector>(p + i, lanes);
      const Register u = lamb_direction(c, at, load_lanes<Vector>(m + i, lanes), load_lanes<Vector>(v + i, lanes));
      store_lanes<Vector>(p + i, at - Vector::all(step) * u, lanes);
    });
  }

  static double squares(const float* g, int64_t count) {
    return sum_vectors<Vector>(count, [=](int64_t i, auto lanes) {
      const Register v = load_lanes<Vector>(g + i, lanes);
      return v * v;
    });
  }
};

template <typename Vector>
constexpr OptimizerSpans optimizer_spans() {
  using Loops = OptimizerLoops<Vector>;
  return {Loops::sgd, Loops::adam, Loops::rms, Loops::lamb_moments, Loops::lamb, Loops::squares};
}

}  // namespace
}  // namespace tersor::cpu
