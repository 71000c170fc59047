// The loops of svd_jacobi_kernels.h, compiled by each ISA file for itself (hence anonymous). Pairs of a round have no
// column in common, so that none waits for another's square roots and divisions.
#pragma once

#include <cmath>
#include <cstdint>

#include "cpu/linalg/jacobi_kernels.h"
#include "cpu/linalg/panel_update.h"

namespace tersor::cpu {
namespace {

#if defined(__AVX512F__) || defined(__AVX2__)
using JacobiVector = WideF64;
#else
using JacobiVector = Narrow<double>;
#endif

constexpr int kMostPairs = 32, kMostSweeps = 60;

// Columns whose cosine is below this count as orthogonal: sums of 64 products round by less.
constexpr double kOrthogonal = 0x1p-46;

struct Pairs {
  int first[kMostPairs], second[kMostPairs];
  double alpha[kMostPairs], beta[kMostPairs], gamma[kMostPairs];  // squared lengths, dot product
  double cosine[kMostPairs], sine[kMostPairs];
};

// Sums of kJacobiLanes parts, in the same order for every vector width.
struct Dots {
  double alpha, beta, gamma;
};

inline Dots dots_of(const double* x, const double* y, int64_t length) {
  using Vector = JacobiVector;
  constexpr int kParts = static_cast<int>(kJacobiLanes) / Vector::kWidth;
  Vector::Register alpha[kParts], beta[kParts], gamma[kParts];
  for (int v = 0; v < kParts; ++v) alpha[v] = beta[v] = gamma[v] = Vector::zero();
  for (int64_t i = 0; i < length; i += kJacobiLanes) {
    for (int v = 0; v < kParts; ++v) {
      const Vector::Register a = Vector::load(x + i + v * Vector::kWidth), b = Vector::load(y + i + v * Vector::kWidth);
      alpha[v] = Vector::multiply_add(a, a, alpha[v]);
      beta[v] = Vector::multiply_add(b, b, beta[v]);
      gamma[v] = Vector::multiply_add(a, b, gamma[v]);
    }
  }
  const auto sum = [](const Vector::Register* parts) {
    double lane[kJacobiLanes];
    for (int v = 0; v < kParts; ++v) Vector::store(lane + v * Vector::kWidth, parts[v]);
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
  };
  return {sum(alpha), sum(beta), sum(gamma)};
}

// x' = c x - s y, y' = s x + c y.
inline void rotate(double* x, double* y, int64_t stride, double c, double s) {
  using Vector = JacobiVector;
  const Vector::Register cosine = Vector::broadcast(&c), sine = Vector::broadcast(&s), none = Vector::zero();
  for (int64_t i = 0; i < stride; i += Vector::kWidth) {
    const Vector::Register a = Vector::load(x + i), b = Vector::load(y + i);
    Vector::store(x + i, Vector::subtract(Vector::multiply_add(cosine, a, none), Vector::multiply_add(sine, b, none)));
    Vector::store(y + i, Vector::multiply_add(sine, a, Vector::multiply_add(cosine, b, none)));
  }
}

// The smaller of the two rotations that make each pair orthogonal (Rutishauser 1966); none where it is.
inline bool angles_of(Pairs& p, int count) {
  int turned = 0;
  for (int k = 0; k < count; ++k) {
    const double gamma = p.gamma[k];
    const double shorter = p.alpha[k] < p.beta[k] ? p.alpha[k] : p.beta[k];
    const bool turn = (shorter > kJacobiNothing * kJacobiNothing) &
                      (std::fabs(gamma) > kOrthogonal * std::sqrt(p.alpha[k]) * std::sqrt(p.beta[k]));
    const double zeta = (p.beta[k] - p.alpha[k]) / (turn ? 2 * gamma : 1.0);
    const double tangent = std::copysign(1.0, zeta) / (std::fabs(zeta) + std::sqrt(1 + zeta * zeta));
    const double cosine = 1 / std::sqrt(1 + tangent * tangent);
    p.cosine[k] = cosine;
    p.sine[k] = turn ? cosine * tangent : 0.0;
    turned += p.sine[k] != 0 ? 1 : 0;
  }
  return turned > 0;
}

// A tournament: one seat stays, the others move on by one after every round, so that all meet all.
inline bool jacobi(double* columns, int64_t count, int64_t length, int64_t stride) {
  const int seats = static_cast<int>(count + count % 2);
  int seated[2 * kMostPairs];
  for (int i = 0; i < seats; ++i) seated[i] = i;
  for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
    bool turned = false;
    for (int round = 0; round + 1 < seats; ++round) {
      Pairs p;
      int pairs = 0;
      for (int k = 0; k < seats / 2; ++k) {
        const int a = seated[k], b = seated[seats - 1 - k];
        if (a >= count || b >= count) continue;  // a bye
        p.first[pairs] = a < b ? a : b, p.second[pairs] = a < b ? b : a;
        const Dots dots = dots_of(columns + p.first[pairs] * stride, columns + p.second[pairs] * stride, length);
        p.alpha[pairs] = dots.alpha, p.beta[pairs] = dots.beta, p.gamma[pairs] = dots.gamma;
        ++pairs;
      }
      if (angles_of(p, pairs)) {
        turned = true;
        for (int k = 0; k < pairs; ++k) {
          if (p.sine[k] == 0) continue;
          rotate(columns + p.first[k] * stride, columns + p.second[k] * stride, stride, p.cosine[k], p.sine[k]);
        }
      }
      const int last = seated[seats - 1];
      for (int i = seats - 1; i > 1; --i) seated[i] = seated[i - 1];
      if (seats > 1) seated[1] = last;
    }
    if (!turned) return true;
  }
  return false;
}

}  // namespace
}  // namespace tersor::cpu
