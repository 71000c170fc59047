#include <cmath>

#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {

tersor_status sgd_step(tersor_context* context, const tersor_tensor* parameter, const tersor_tensor* gradient,
                       const tersor_tensor* velocity, float learning_rate, float momentum, float weight_decay,
                       int32_t nesterov) {
  if (momentum != 0.0f && velocity == nullptr) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected a velocity tensor, got none, at momentum %g",
                static_cast<double>(momentum));
  }
  auto* p = data_of<float>(parameter);
  const auto* g = data_of<const float>(gradient);
  const int64_t count = elements_of(parameter);
  if (velocity == nullptr) {
    return for_chunks(context, count, kGrain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) p[i] -= learning_rate * (g[i] + weight_decay * p[i]);
    });
  }
  auto* v = data_of<float>(velocity);
  // Nesterov looks one momentum step ahead: g + momentum * v. Otherwise the step is v itself.
  const float look = nesterov != 0 ? 1.0f : 0.0f, along = nesterov != 0 ? momentum : 1.0f;
  return for_chunks(context, count, kGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float slope = g[i] + weight_decay * p[i];
      v[i] = momentum * v[i] + slope;
      p[i] -= learning_rate * (look * slope + along * v[i]);
    }
  });
}

// Kingma & Ba 2015; decoupled decay: Loshchilov & Hutter 2019.
tersor_status adam_step(tersor_context* context, const tersor_tensor* parameter, const tersor_tensor* gradient,
                        const tersor_tensor* first_moment, const tersor_tensor* second_moment,
                        const tersor_adam_options* options) {
  const float beta1 = options->beta1, beta2 = options->beta2, epsilon = options->epsilon;
  if (options->step < 1) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected step >= 1, got %lld",
                static_cast<long long>(options->step));
  }
  if (!(beta1 >= 0.0f && beta1 < 1.0f && beta2 >= 0.0f && beta2 < 1.0f)) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected 0 <= beta1, beta2 < 1, got %g and %g",
                static_cast<double>(beta1), static_cast<double>(beta2));
  }
  // In double: 1 - beta^step loses most of its float digits in the first steps.
  const auto step = static_cast<double>(options->step);
  const double correction1 = 1.0 - std::pow(static_cast<double>(beta1), step);
  const double correction2 = 1.0 - std::pow(static_cast<double>(beta2), step);
  const auto rate = static_cast<float>(static_cast<double>(options->learning_rate) / correction1);
  const auto root = static_cast<float>(1.0 / std::sqrt(correction2));
  const float keep = options->decoupled_decay != 0 ? 1.0f - options->learning_rate * options->weight_decay : 1.0f;
  const float decay = options->decoupled_decay != 0 ? 0.0f : options->weight_decay;

  auto* p = data_of<float>(parameter);
  const auto* g = data_of<const float>(gradient);
  auto* m = data_of<float>(first_moment);
  auto* v = data_of<float>(second_moment);
  return for_chunks(context, elements_of(parameter), kGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float slope = g[i] + decay * p[i];
      m[i] = beta1 * m[i] + (1.0f - beta1) * slope;
      v[i] = beta2 * v[i] + (1.0f - beta2) * slope * slope;
      p[i] = keep * p[i] - rate * m[i] / (std::sqrt(v[i]) * root + epsilon);
    }
  });
}

}  // namespace tersor::cpu
