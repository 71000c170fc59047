// What every product ends with, and the activations it knows.
#include "cpu/epilogue/epilogue.h"

#include <cmath>
#include <limits>

#include "typed.h"

namespace tersor::test {
namespace {

using cpu::Epilogue;
using cpu::epilogue_kernels;
using cpu::EpilogueKernel;

double activation_of(tersor_activation activation, double x) {
  switch (activation) {
    case TERSOR_RELU:
      return x > 0 ? x : 0;
    case TERSOR_GELU:
      return 0.5 * x * std::erfc(-x * std::sqrt(0.5));
    case TERSOR_SILU:
      return x / (1 + std::exp(-x));
    default:
      return x;
  }
}

constexpr tersor_activation kActivations[] = {TERSOR_IDENTITY, TERSOR_RELU, TERSOR_GELU, TERSOR_SILU};

TEST_CASE("epilogues add the bias, apply the activation, add the residual, for every part of a matrix") {
  constexpr int64_t kRows = 7, kColumns = 53;
  const F32 bias({kColumns}, uniform(kColumns, 1, -2, 2)), residual({kRows, kColumns}, uniform(kRows * kColumns, 2));
  for (int mix = 0; mix < 16; ++mix) {
    const tersor_activation activation = kActivations[mix / 4];
    const bool has_bias = (mix & 1) != 0, has_residual = (mix & 2) != 0;
    const Epilogue epilogue = {has_bias ? bias.data<float>() : nullptr, has_residual ? residual.data<float>() : nullptr,
                               activation, kColumns};
    for (const int64_t width : {1, 3, 16, 32, 50}) {
      const cpu::EpilogueTile tile = {2, 4, 3, width};
      const std::vector<float> sums = uniform(tile.rows * 60, 3, -6, 6);
      std::vector<double> expected, tolerance;
      for (int64_t i = 0; i < tile.rows; ++i) {
        for (int64_t j = 0; j < width; ++j) {
          double x = sums[static_cast<size_t>(i * 60 + j)];
          if (has_bias) x = static_cast<float>(x) + bias[static_cast<size_t>(tile.column + j)];
          const auto at = static_cast<size_t>((tile.row + i) * kColumns + tile.column + j);
          expected.push_back(activation_of(activation, x) + (has_residual ? residual[at] : 0));
          tolerance.push_back(8 * kEpsilon * (1 + std::abs(x)));
        }
      }
      std::vector<float> reference;
      for_each_kernel(epilogue_kernels, [&](const std::string& isa, EpilogueKernel* kernel) {
        const F32 y({kRows, kColumns});
        kernel(epilogue, tile, sums.data(), 60, &y[static_cast<size_t>(tile.row * kColumns + tile.column)], kColumns);
        std::vector<float> got;
        for (int64_t i = 0; i < tile.rows; ++i) {
          for (int64_t j = 0; j < width; ++j) {
            got.push_back(y[static_cast<size_t>((tile.row + i) * kColumns + tile.column + j)]);
          }
        }
        const std::string what = isa + ", mix " + std::to_string(mix) + ", width " + std::to_string(width);
        check_close(what, got, expected, tolerance);
        if (reference.empty()) reference = got;
        check_same_bits(what, got, reference);
      });
    }
  }
}

TEST_CASE("epilogues work in place, and keep NaN and infinity") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for_each_kernel(epilogue_kernels, [&](const std::string& isa, EpilogueKernel* kernel) {
    CAPTURE(isa);
    for (const tersor_activation activation : kActivations) {
      const F32 y({1, 20}, std::vector<float>(20, NAN));
      y[7] = kInfinity;
      y[9] = 40;
      kernel({nullptr, nullptr, activation, 20}, {0, 1, 0, 20}, y.data<float>(), 20, y.data<float>(), 20);
      for (size_t i = 0; i < 20; ++i) {
        if (i == 7) {
          CHECK(y[i] == kInfinity);
        } else if (i == 9) {
          CHECK(y[i] == 40);
        } else {
          CHECK(std::isnan(y[i]));
        }
      }
    }
  });
}

TEST_CASE("far from zero gelu and silu are 0 or the identity") {
  for_each_kernel(epilogue_kernels, [&](const std::string& isa, EpilogueKernel* kernel) {
    CAPTURE(isa);
    for (const tersor_activation activation : {TERSOR_GELU, TERSOR_SILU}) {
      const F32 y({1, 4}, {-200, -1e30f, 200, 1e30f});
      kernel({nullptr, nullptr, activation, 4}, {0, 1, 0, 4}, y.data<float>(), 4, y.data<float>(), 4);
      CHECK(std::abs(y[0]) == 0);
      CHECK(std::abs(y[1]) == 0);
      CHECK(y[2] == 200);
      CHECK(y[3] == 1e30f);
    }
  });
}

}  // namespace
}  // namespace tersor::test
