#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/nn/optimizer_spans.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/reduction.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<OptimizerKernel> optimizer_kernels("optimizer", {
#if TERSOR_X86
  {"optimizer_avx512", Isa::avx512, optimizer_avx512}, {"optimizer_avx2", Isa::avx2, optimizer_avx2},
#elif TERSOR_ARM
  {"optimizer_neon", Isa::neon, optimizer_neon},
#endif
      {"optimizer_scalar", Isa::scalar, optimizer_scalar},
});

namespace {

constexpr int64_t kOptimizerGrain = kGrain / 4;

// A list of tensors as one long row, so that many small parameters make as good chunks as a large one.
class Concatenation {
 public:
  Concatenation(const tersor_tensor* tensors, int64_t count) : ends_(static_cast<size_t>(count)) {
    for (int64_t i = 0; i < count; ++i) ends_[static_cast<size_t>(i)] = total_ += elements_of(tensors + i);
  }

  int64_t total() const { return total_; }

  // span(tensor, offset in it, count) for the parts of [begin, end), in order.
  template <typename Span>
  void for_spans(int64_t begin, int64_t end, Span&& span) const {
    auto tensor = std::upper_bound(ends_.begin(), ends_.end(), begin) - ends_.begin();
    for (; begin < end; ++tensor) {
      const auto at = static_cast<size_t>(tensor);
      const int64_t start = at == 0 ? 0 : ends_[at - 1], stop = std::min(ends_[at], end);
      if (stop > begin) span(static_cast<int64_t>(tensor), begin - start, stop - begin);
      begin = stop;
    }
  }

 private:
  std::vector<int64_t> ends_;
  int64_t total_ = 0;
};

// update(kernel, tensor, offset in it, count) for all of them, in parallel.
template <typename Update>
tersor_status for_elements(tersor_context* context, const Concatenation& all, Update&& update) {
  const OptimizerSpans& kernel = optimizer_kernels.best()();
  return for_chunks(context, all.total(), kOptimizerGrain, [&](int64_t begin, int64_t end) {
    all.for_spans(begin, end, [&](int64_t tensor, int64_t at, int64_t count) { update(kernel, tensor, at, count); });
  });
}

// What gradients are to be multiplied by: max_norm / norm of all of them together where that is less than 1.
tersor_status clip_factor(tersor_context* context, const Concatenation& all, const tersor_tensor* gradients,
                          float max_norm, float* factor) {
  *factor = 1.0f;
  if (max_norm == 0.0f) return TERSOR_OK;
  const OptimizerSpans& kernel = optimizer_kernels.best()();
  double squares = 0.0;
  const tersor_status status = fold_chunks(
      context, all.total(), kOptimizerGrain, 0.0, Sum::combine,
      [&](int64_t begin, int64_t end) {
        double sum = 0.0;
        all.for_spans(begin, end, [&](int64_t tensor, int64_t at, int64_t count) {
          sum += kernel.squares(data_of<const float>(gradients + tensor) + at, count);
        });
        return sum;
      },
      &squares);
  const double norm = std::sqrt(squares), most = static_cast<double>(max_norm);
  // A norm that is NaN makes all gradients NaN, rather than let the step go unclipped. 1e-6 as in PyTorch.
  if (!(norm <= most)) *factor = static_cast<float>(most / (norm + 1e-6));
  return status;
}

tersor_status check_adam(tersor_context* context, const tersor_adam_options* options) {
  const float beta1 = options->beta1, beta2 = options->beta2;
  if (options->step < 1) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected step >= 1, got %lld",
                static_cast<long long>(options->step));
  }
  if (!(beta1 >= 0.0f && beta1 < 1.0f && beta2 >= 0.0f && beta2 < 1.0f)) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected 0 <= beta1, beta2 < 1, got %g and %g",
                static_cast<double>(beta1), static_cast<double>(beta2));
  }
  return TERSOR_OK;
}

// Nothing is clipped, and decay is an L2 penalty.
AdamCoefficients adam_coefficients(const tersor_adam_options& options, float learning_rate) {
  // In double: 1 - beta^step loses most of its float digits in the first steps.
  const auto step = static_cast<double>(options.step);
  const double correction1 = 1.0 - std::pow(static_cast<double>(options.beta1), step);
  const double correction2 = 1.0 - std::pow(static_cast<double>(options.beta2), step);
  return {.clip = 1.0f,
          .rate = static_cast<float>(static_cast<double>(learning_rate) / correction1),
          .decay = options.weight_decay,
          .keep = 1.0f,
          .beta1 = options.beta1,
          .beta2 = options.beta2,
          .root = static_cast<float>(1.0 / std::sqrt(correction2)),
          .epsilon = options.epsilon};
}

// Sums over a parameter.
struct Squares {
  double parameter = 0, update = 0;

  static Squares combine(Squares a, Squares b) { return {a.parameter + b.parameter, a.update + b.update}; }
};

}  // namespace

tersor_status sgd_step(tersor_context* context, int64_t count, const tersor_tensor* parameters,
                       const tersor_tensor* gradients, const tersor_tensor* velocities,
                       const tersor_sgd_options* options) {
  if (options->momentum != 0.0f && velocities == nullptr) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected velocities, got none, at momentum %g",
                static_cast<double>(options->momentum));
  }
  const Concatenation all(parameters, count);
  SgdCoefficients c{1.0f, options->learning_rate, options->weight_decay, options->momentum, 0.0f, 1.0f};
  if (options->nesterov != 0) c.look = 1.0f, c.along = options->momentum;
  const tersor_status status = clip_factor(context, all, gradients, options->max_norm, &c.clip);
  if (status != TERSOR_OK) return status;
  return for_elements(context, all, [&](const OptimizerSpans& kernel, int64_t i, int64_t at, int64_t length) {
    kernel.sgd(c, length, data_of<float>(parameters + i) + at, data_of<const float>(gradients + i) + at,
               velocities == nullptr ? nullptr : data_of<float>(velocities + i) + at);
  });
}

// Kingma & Ba 2015; decoupled decay: Loshchilov & Hutter 2019.
tersor_status adam_step(tersor_context* context, int64_t count, const tersor_tensor* parameters,
                        const tersor_tensor* gradients, const tersor_tensor* first_moments,
                        const tersor_tensor* second_moments, const tersor_adam_options* options) {
  if (const tersor_status status = check_adam(context, options); status != TERSOR_OK) return status;
  AdamCoefficients c = adam_coefficients(*options, options->learning_rate);
  if (options->decoupled_decay != 0) {
    c.keep = 1.0f - options->learning_rate * options->weight_decay;
    c.decay = 0.0f;
  }
  const Concatenation all(parameters, count);
  const tersor_status status = clip_factor(context, all, gradients, options->max_norm, &c.clip);
  if (status != TERSOR_OK) return status;
  return for_elements(context, all, [&](const OptimizerSpans& kernel, int64_t i, int64_t at, int64_t length) {
    kernel.adam(c, length, data_of<float>(parameters + i) + at, data_of<const float>(gradients + i) + at,
                data_of<float>(first_moments + i) + at, data_of<float>(second_moments + i) + at);
  });
}

// Adagrad: Duchi, Hazan & Singer 2011; RMSprop: Tieleman & Hinton 2012. Epsilon outside the root, as in PyTorch.
tersor_status rms_step(tersor_context* context, int64_t count, const tersor_tensor* parameters,
                       const tersor_tensor* gradients, const tersor_tensor* squares,
                       const tersor_rms_options* options) {
  const float keep = options->decay;
  if (!(keep >= 0.0f && keep <= 1.0f)) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected 0 <= decay <= 1, got %g", static_cast<double>(keep));
  }
  RmsCoefficients c{1.0f, options->learning_rate,           options->weight_decay,
                    keep, keep < 1.0f ? 1.0f - keep : 1.0f, options->epsilon};
  const Concatenation all(parameters, count);
  const tersor_status status = clip_factor(context, all, gradients, options->max_norm, &c.clip);
  if (status != TERSOR_OK) return status;
  return for_elements(context, all, [&](const OptimizerSpans& kernel, int64_t i, int64_t at, int64_t length) {
    kernel.rms(c, length, data_of<float>(parameters + i) + at, data_of<const float>(gradients + i) + at,
               data_of<float>(squares + i) + at);
  });
}

// You et al., "Large batch optimization for deep learning: training BERT in 76 minutes", 2020.
tersor_status lamb_step(tersor_context* context, int64_t count, const tersor_tensor* parameters,
                        const tersor_tensor* gradients, const tersor_tensor* first_moments,
                        const tersor_tensor* second_moments, const tersor_adam_options* options) {
  if (const tersor_status checked = check_adam(context, options); checked != TERSOR_OK) return checked;
  AdamCoefficients c = adam_coefficients(*options, 1.0f);
  tersor_status status = clip_factor(context, Concatenation(parameters, count), gradients, options->max_norm, &c.clip);
  const OptimizerSpans& kernel = optimizer_kernels.best()();
  for (int64_t i = 0; i < count && status == TERSOR_OK; ++i) {
    float* p = data_of<float>(parameters + i);
    const float* g = data_of<const float>(gradients + i);
    float *m = data_of<float>(first_moments + i), *v = data_of<float>(second_moments + i);
    const int64_t length = elements_of(parameters + i);
    Squares squares;
    status = fold_chunks(
        context, length, kOptimizerGrain, Squares{}, Squares::combine,
        [&](int64_t begin, int64_t end) {
          const int64_t span = end - begin;
          return Squares{kernel.squares(p + begin, span),
                         kernel.lamb_moments(c, span, p + begin, g + begin, m + begin, v + begin)};
        },
        &squares);
    if (status != TERSOR_OK) return status;
    const bool none = squares.parameter == 0.0 || squares.update == 0.0;
    const double trust = none ? 1.0 : std::sqrt(squares.parameter / squares.update);
    const auto step = static_cast<float>(static_cast<double>(options->learning_rate) * trust);
    status = for_chunks(context, length, kOptimizerGrain, [&](int64_t begin, int64_t end) {
      kernel.lamb(c, step, end - begin, p + begin, m + begin, v + begin);
    });
  }
  return status;
}

}  // namespace tersor::cpu
