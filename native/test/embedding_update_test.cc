// Optimizer steps on single rows, against float64.
#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

struct Expected {
  std::vector<double> table, first, second;
};

// The rule in float64, on the rows of `ids` alone.
void step(Expected& state, const std::vector<int32_t>& ids, const std::vector<float>& gradients, int64_t columns,
          const tersor_row_options& o) {
  for (size_t i = 0; i < ids.size(); ++i) {
    double squares = 0;
    for (int64_t j = 0; j < columns; ++j)
      squares += std::pow(gradients[i * static_cast<size_t>(columns) + static_cast<size_t>(j)], 2);
    if (o.rule == TERSOR_ROW_ROWWISE_ADAGRAD)
      state.first[static_cast<size_t>(ids[i])] += squares / static_cast<double>(columns);
    for (int64_t j = 0; j < columns; ++j) {
      const auto at = static_cast<size_t>(ids[i] * columns + j);
      const double g = gradients[i * static_cast<size_t>(columns) + static_cast<size_t>(j)];
      double move = g;
      if (o.rule == TERSOR_ROW_ADAGRAD) {
        state.first[at] += g * g;
        move = g / (std::sqrt(state.first[at]) + o.epsilon);
      } else if (o.rule == TERSOR_ROW_ROWWISE_ADAGRAD) {
        move = g / (std::sqrt(state.first[static_cast<size_t>(ids[i])]) + o.epsilon);
      } else if (o.rule == TERSOR_ROW_ADAM) {
        const double b1 = o.beta1, b2 = o.beta2, t = static_cast<double>(o.step);
        state.first[at] = b1 * state.first[at] + (1 - b1) * g;
        state.second[at] = b2 * state.second[at] + (1 - b2) * g * g;
        move =
            state.first[at] / (1 - std::pow(b1, t)) / (std::sqrt(state.second[at] / (1 - std::pow(b2, t))) + o.epsilon);
      }
      state.table[at] -= o.learning_rate * move;
    }
  }
}

}  // namespace

TEST_CASE("update_rows: every rule against float64, untouched rows keep their bits") {
  for (const auto rule : {TERSOR_ROW_SGD, TERSOR_ROW_ADAGRAD, TERSOR_ROW_ROWWISE_ADAGRAD, TERSOR_ROW_ADAM}) {
    for (const int64_t columns : {1, 5, 16, 67}) {
      const int64_t rows = 300;
      const auto start = uniform(rows * columns, 1);
      const auto first_size = rule == TERSOR_ROW_ROWWISE_ADAGRAD ? rows : rows * columns;
      std::vector<int32_t> ids;
      for (int32_t id = 1; id < rows; id += 3) ids.push_back(id);
      const auto count = static_cast<int64_t>(ids.size());
      Expected expected{{start.begin(), start.end()}, std::vector<double>(static_cast<size_t>(first_size)), {}};
      expected.second.resize(static_cast<size_t>(rows * columns));
      const auto gradients = [&](int64_t t) { return uniform(count * columns, static_cast<uint32_t>(10 + t)); };
      const auto options = [&](int64_t t) { return tersor_row_options{rule, 0.1f, 0.9f, 0.99f, 1e-6f, t}; };
      for (int64_t t = 1; t <= 3; ++t) step(expected, ids, gradients(t), columns, options(t));
      const std::string what = "rule " + std::to_string(rule) + ", " + std::to_string(columns) + " columns";
      const auto actual = same_for_any_thread_count(what, [&] {
        const F32 table({rows, columns}, start), second({rows, columns});
        const F32 first(rule == TERSOR_ROW_ROWWISE_ADAGRAD ? Shape{rows} : Shape{rows, columns});
        std::fill_n(first.data<float>(), first_size, 0.0f);
        std::fill_n(second.data<float>(), rows * columns, 0.0f);
        const I32 id_tensor({count}, ids);
        for (int64_t t = 1; t <= 3; ++t) {
          const F32 gradient({count, columns}, gradients(t));
          const tersor_row_options o = options(t);
          Context context;
          REQUIRE(cpu::update_rows(&context, table, id_tensor, gradient,
                                   rule == TERSOR_ROW_SGD ? nullptr : static_cast<const tersor_tensor*>(first),
                                   rule == TERSOR_ROW_ADAM ? static_cast<const tersor_tensor*>(second) : nullptr,
                                   &o) == TERSOR_OK);
        }
        return table.values();
      });
      // A step moves by at most 0.1 (Adam: a few times that); each of the three is rounded some ten times.
      check_close(what, actual, expected.table, 60 * kEpsilon);
      for (int64_t row = 0; row < rows; row += 3) {
        for (int64_t j = 0; j < columns; ++j) {
          CHECK(actual[static_cast<size_t>(row * columns + j)] == start[static_cast<size_t>(row * columns + j)]);
        }
      }
    }
  }
}

TEST_CASE("update_rows: ids that repeat, fall or leave the table are named") {
  const F32 table({3, 1}, {1, 2, 3}), gradients({2, 1}, {1, 1});
  const tersor_row_options options{TERSOR_ROW_SGD, 0.1f, 0, 0, 1e-6f, 1};
  Context context;
  const auto run = [&](const std::vector<int32_t>& ids) {
    const I32 id_tensor({2}, ids);
    return cpu::update_rows(&context, table, id_tensor, gradients, nullptr, nullptr, &options);
  };
  CHECK(run({1, 1}) == TERSOR_INVALID_ARGUMENT);
  CHECK(std::string(context.message) == "expected ascending ids, each once, got 1 after 1, at ids[1]");
  CHECK(run({1, 3}) == TERSOR_OUT_OF_RANGE);
  check_same_bits("untouched", table.values(), std::vector<float>{1, 2, 3});
}

}  // namespace tersor::test
