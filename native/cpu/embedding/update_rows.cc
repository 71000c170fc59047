// Optimizer steps on the rows of a table that a batch touched, each row read and written once.
#include <cmath>

#include "backend/fail.h"
#include "cpu/ids.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

// Rows are updated side by side, so no row may come twice.
tersor_status check_ascending(tersor_context* context, const tersor_tensor* ids, int64_t rows) {
  if (const tersor_status status = check_ids(context, ids, rows); status != TERSOR_OK) return status;
  const auto* id = data_of<const int32_t>(ids);
  for (int64_t i = 1; i < elements_of(ids); ++i) {
    if (id[i] <= id[i - 1]) {
      return fail(context, TERSOR_INVALID_ARGUMENT, "expected ascending ids, each once, got %d after %d, at ids[%lld]",
                  id[i], id[i - 1], static_cast<long long>(i));
    }
  }
  return TERSOR_OK;
}

struct Row {
  float* p;
  const float* g;
  float *first, *second;  // the row's state, as far as the rule has one
  int64_t columns;
};

void sgd(const Row& row, float rate) {
  for (int64_t j = 0; j < row.columns; ++j) row.p[j] -= rate * row.g[j];
}

void adagrad(const Row& row, float rate, float epsilon) {
  for (int64_t j = 0; j < row.columns; ++j) {
    row.first[j] += row.g[j] * row.g[j];
    row.p[j] -= rate * row.g[j] / (std::sqrt(row.first[j]) + epsilon);
  }
}

void rowwise_adagrad(const Row& row, float rate, float epsilon) {
  double squares = 0;
  for (int64_t j = 0; j < row.columns; ++j) squares += static_cast<double>(row.g[j]) * static_cast<double>(row.g[j]);
  *row.first += static_cast<float>(squares / static_cast<double>(row.columns));
  const float step = rate / (std::sqrt(*row.first) + epsilon);
  for (int64_t j = 0; j < row.columns; ++j) row.p[j] -= step * row.g[j];
}

// The dense step of Kingma & Ba (see adam_step), for the rows that have a gradient; moments of the others stay.
struct LazyAdam {
  float beta1, beta2, epsilon, rate, root;

  explicit LazyAdam(const tersor_row_options& options)
      : beta1(options.beta1), beta2(options.beta2), epsilon(options.epsilon) {
    const auto step = static_cast<double>(options.step);
    const double correction1 = 1.0 - std::pow(static_cast<double>(beta1), step);
    const double correction2 = 1.0 - std::pow(static_cast<double>(beta2), step);
    rate = static_cast<float>(static_cast<double>(options.learning_rate) / correction1);
    root = static_cast<float>(1.0 / std::sqrt(correction2));
  }

  void operator()(const Row& row) const {
    for (int64_t j = 0; j < row.columns; ++j) {
      const float g = row.g[j];
      row.first[j] = beta1 * row.first[j] + (1.0f - beta1) * g;
      row.second[j] = beta2 * row.second[j] + (1.0f - beta2) * g * g;
      row.p[j] -= rate * row.first[j] / (std::sqrt(row.second[j]) * root + epsilon);
    }
  }
};

}  // namespace

tersor_status update_rows(tersor_context* context, const tersor_tensor* table, const tersor_tensor* ids,
                          const tersor_tensor* gradients, const tersor_tensor* first, const tersor_tensor* second,
                          const tersor_row_options* options) {
  if (const tersor_status status = check_ascending(context, ids, rows_of(table)); status != TERSOR_OK) return status;
  const auto* id = data_of<const int32_t>(ids);
  const int64_t columns = columns_of(table);
  const int64_t first_columns = options->rule == TERSOR_ROW_ROWWISE_ADAGRAD ? 1 : columns;
  auto* p = data_of<float>(table);
  const auto* g = data_of<const float>(gradients);
  float* first_state = first == nullptr ? nullptr : data_of<float>(first);
  float* second_state = second == nullptr ? nullptr : data_of<float>(second);
  const LazyAdam adam(*options);
  return for_chunks(context, elements_of(ids), row_grain(columns * 4), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Row row{p + id[i] * columns, g + i * columns,
                    first_state == nullptr ? nullptr : first_state + id[i] * first_columns,
                    second_state == nullptr ? nullptr : second_state + id[i] * columns, columns};
      switch (options->rule) {
        case TERSOR_ROW_SGD:
          sgd(row, options->learning_rate);
          break;
        case TERSOR_ROW_ADAGRAD:
          adagrad(row, options->learning_rate, options->epsilon);
          break;
        case TERSOR_ROW_ROWWISE_ADAGRAD:
          rowwise_adagrad(row, options->learning_rate, options->epsilon);
          break;
        case TERSOR_ROW_ADAM:
          adam(row);
          break;
      }
    }
  });
}

}  // namespace tersor::cpu
