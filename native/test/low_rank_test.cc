#include "cpu/low_rank/low_rank.h"

#include <cmath>
#include <limits>
#include <string>
#include <tuple>

#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

using cpu::low_rank_gemm_with;
using cpu::low_rank_kernels;
using cpu::LowRankKernel;

enum class Addend { none, dense, bf16, quantized, int8 };

const Addend kAddends[] = {Addend::none, Addend::dense, Addend::bf16, Addend::quantized, Addend::int8};

std::string name_of(Addend addend) {
  const char* names[] = {"alone", "dense", "bf16", "quantized", "int8"};
  return names[static_cast<int>(addend)];
}

// Factors, inputs and the weight that the factors are added to.
struct Problem {
  int64_t m, n, k, rank;
  Addend addend;
  std::vector<float> x, left, right, bias, residual;
  tersor_activation activation = TERSOR_IDENTITY;
  bool plain = false;  // no bias and no residual

  Problem(int64_t m_, int64_t n_, int64_t k_, int64_t rank_, Addend addend_)
      : m(m_),
        n(n_),
        k(k_),
        rank(rank_),
        addend(addend_),
        x(uniform(m * k, 1)),
        left(uniform(n * rank, 2)),
        right(uniform(rank * k, 3)),
        bias(uniform(n, 4)),
        residual(uniform(m * n, 5)) {}

  std::string name() const {
    return name_of(addend) + " " + std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k) +
           ", rank " + std::to_string(rank);
  }

  // Runs body(addend or null), whose product alone `reference` makes.
  template <typename Body>
  void with_addend(Body&& body) const {
    Context context;
    tersor_addend view{};
    if (addend == Addend::none) return body(nullptr);
    if (addend == Addend::dense || addend == Addend::bf16) {
      const tersor_dtype dtype = addend == Addend::dense ? TERSOR_F32 : TERSOR_BF16;
      const F32 values({n, k}, uniform(n * k, 6));
      const Tensor w(dtype, {n, k}), panels(dtype, {cpu::packed_elements(n, k, dtype)});
      REQUIRE(cpu::cast(&context, values, w) == TERSOR_OK);
      REQUIRE(cpu::pack_gemm(&context, w, panels) == TERSOR_OK);
      const tersor_packed packed{*static_cast<const tersor_tensor*>(panels), n, k};
      view.dense = &packed;
      return body(&view);
    }
    if (addend == Addend::int8) {
      const Typed<int8_t> w({n, k}, Random(6).integers<int8_t>(n * k, -127, 127));
      const Typed<uint8_t> bytes({cpu::int8_bytes(n, k)});
      REQUIRE(cpu::pack_int8(&context, w, bytes) == TERSOR_OK);
      const tersor_int8_weight packed{*static_cast<const tersor_tensor*>(bytes), n, k};
      const F32 scales({n}, uniform(n, 7, 0.001, 0.01));
      view.int8 = &packed;
      view.scales = scales;
      return body(&view);
    }
    const int64_t groups = (k + 31) / 32;
    const Typed<uint8_t> codes({n, k}, Random(6).integers<uint8_t>(n * row_bytes(TERSOR_U4, k), 0, 255), TERSOR_U4);
    const Typed<uint8_t> bytes({cpu::quantized_bytes(n, k, 4, 32, 0)});
    const F32 scales({n, groups}, uniform(n * groups, 7, 0.01, 0.1));
    const I32 zeros({n, groups}, Random(8).integers<int32_t>(n * groups, 0, 15));
    const tersor_affine affine{scales, zeros, nullptr, 0, 15, 32};
    REQUIRE(cpu::pack_quantized(&context, codes, &affine, bytes) == TERSOR_OK);
    const tersor_quantized packed{*static_cast<const tersor_tensor*>(bytes), n, k, 4, 32, 0};
    view.quantized = &packed;
    view.precision = TERSOR_INPUT_INT8;
    body(&view);
  }

  template <typename Body>
  void with_epilogue(Body&& body) const {
    const F32 offsets({n}, bias), added({m, n}, residual);
    const auto optional = [&](const F32& tensor) {
      return plain ? nullptr : static_cast<const tersor_tensor*>(tensor);
    };
    const tersor_epilogue epilogue{optional(offsets), activation, optional(added)};
    body(&epilogue);
  }

  std::vector<float> run(LowRankKernel* kernel) const {
    Context context;
    const F32 input({m, k}, x), l({n, rank}, left), r({rank, k}, right), y({m, n}),
        packed({cpu::low_rank_elements(n, k, rank)});
    REQUIRE(cpu::pack_low_rank(&context, l, r, packed) == TERSOR_OK);
    const tersor_low_rank w{*static_cast<const tersor_tensor*>(packed), n, k, rank};
    with_addend([&](const tersor_addend* other) {
      with_epilogue([&](const tersor_epilogue* epilogue) {
        CHECK(low_rank_gemm_with(kernel, &context, input, other, &w, epilogue, y) == TERSOR_OK);
      });
    });
    return y.values();
  }

  // The addend's own product, by the operation that is to make it.
  std::vector<float> addend_product() const {
    Context context;
    const F32 input({m, k}, x), y({m, n});
    if (addend == Addend::none) return std::vector<float>(static_cast<size_t>(m * n));
    with_addend([&](const tersor_addend* other) {
      tersor_status status;
      if (other->dense != nullptr) {
        status = cpu::gemm_packed(&context, input, other->dense, nullptr, y);
      } else if (other->quantized != nullptr) {
        status = cpu::gemm_quantized(&context, input, other->precision, other->quantized, nullptr, y);
      } else {
        status = cpu::gemm_int8(&context, input, other->int8, nullptr, other->scales, nullptr, nullptr, y);
      }
      REQUIRE(status == TERSOR_OK);
    });
    return y.values();
  }
};

double activated(tersor_activation activation, double value) {
  switch (activation) {
    case TERSOR_RELU:
      return std::max(value, 0.0);
    case TERSOR_TANH:
      return std::tanh(value);
    default:
      return value;
  }
}

// In float64 beside the addend's own product. Every number of x * right^T is off by at most k roundings of sums of
// magnitudes, the product with left by `rank` more, then come the two sums, the bias and the residual; the slopes of
// these activations are at most 1, and tanh itself is off by a few units.
void check(const std::string& isa, const Problem& problem, LowRankKernel* kernel) {
  const auto& [m, n, k, rank] = std::tie(problem.m, problem.n, problem.k, problem.rank);
  const std::vector<float> other = problem.addend_product();
  std::vector<double> expected, tolerance;
  for (int64_t i = 0; i < m; ++i) {
    std::vector<double> reduced(static_cast<size_t>(rank)), magnitudes(static_cast<size_t>(rank));
    for (int64_t r = 0; r < rank; ++r) {
      for (int64_t p = 0; p < k; ++p) {
        const double term =
            double{problem.x[static_cast<size_t>(i * k + p)]} * double{problem.right[static_cast<size_t>(r * k + p)]};
        reduced[static_cast<size_t>(r)] += term;
        magnitudes[static_cast<size_t>(r)] += std::abs(term);
      }
    }
    for (int64_t j = 0; j < n; ++j) {
      const auto at = static_cast<size_t>(i * n + j);
      double sum = double{other[at]}, magnitude = std::abs(sum);
      for (int64_t r = 0; r < rank; ++r) {
        const double factor = problem.left[static_cast<size_t>(j * rank + r)];
        sum += reduced[static_cast<size_t>(r)] * factor;
        magnitude += magnitudes[static_cast<size_t>(r)] * std::abs(factor);
      }
      const double bias = problem.plain ? 0 : problem.bias[static_cast<size_t>(j)];
      const double residual = problem.plain ? 0 : problem.residual[at];
      expected.push_back(activated(problem.activation, sum + bias) + residual);
      magnitude += std::abs(bias) + std::abs(residual) + 1;
      tolerance.push_back(static_cast<double>(k + rank + 8) * kEpsilon * magnitude);
    }
  }
  const auto actual = same_for_any_thread_count(isa + " " + problem.name(), [&] { return problem.run(kernel); });
  check_close(isa + " " + problem.name(), actual, expected, tolerance);
}

void check_every_kernel(const Problem& problem) {
  for_each_kernel(low_rank_kernels,
                  [&](const std::string& isa, LowRankKernel* kernel) { check(isa, problem, kernel); });
}

TEST_CASE("low_rank_gemm of every addend, tile and tail on every ISA") {
  int mix = 0;
  for (const Addend addend : kAddends) {
    for (const int64_t m : {1, 2, 7, 13, 50}) {
      for (const int64_t n : {1, 31, 33, 100}) {
        for (const int64_t k : {1, 17, 64}) {
          for (const int64_t rank : {1, 5, 32, 40}) {
            if (++mix % 3 != 0) continue;
            Problem problem(m, n, k, rank, addend);
            problem.plain = mix % 2 == 0;
            problem.activation = mix % 5 == 0 ? TERSOR_RELU : mix % 5 == 1 ? TERSOR_TANH : TERSOR_IDENTITY;
            check_every_kernel(problem);
          }
        }
      }
    }
  }
}

TEST_CASE("low_rank_gemm of random shapes") {
  Random random(21);
  for (int round = 0; round < 40; ++round) {
    Problem problem(random.integer(0, 70), random.integer(0, 130), random.integer(0, 300), random.integer(0, 80),
                    kAddends[round % 5]);
    problem.plain = round % 3 == 0;
    check_every_kernel(problem);
  }
}

TEST_CASE("low_rank_gemm of more than one part of depth, unit of rows, and block of rows") {
  for (const Addend addend : kAddends) {
    check_every_kernel(Problem(1, 300, 1029, 70, addend));
    check_every_kernel(Problem(3, 40, 700, 300, addend));
    check_every_kernel(Problem(1, 40, 70, 600, addend));
    check_every_kernel(Problem(300, 70, 64, 9, addend));
  }
}

TEST_CASE("NaN and infinity in a row of x reach no other row") {
  for (const Addend addend : kAddends) {
    for (const int64_t m : {1, 14}) {
      Problem problem(m, 35, 64, 5, addend);
      problem.plain = true;
      for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        Problem broken = problem;
        const int64_t row = m - 1;
        broken.x[static_cast<size_t>(row * 64 + 3)] = bad;
        for_each_kernel(low_rank_kernels, [&](const std::string& isa, LowRankKernel* kernel) {
          const auto clean = problem.run(kernel), got = broken.run(kernel);
          for (int64_t i = 0; i < m * 35; ++i) {
            const auto at = static_cast<size_t>(i);
            if (i / 35 == row) {
              CHECK_MESSAGE(!std::isfinite(got[at]), isa << " " << problem.name() << " at " << i);
            } else {
              CHECK_MESSAGE(got[at] == clean[at], isa << " " << problem.name() << " at " << i);
            }
          }
        });
      }
    }
  }
}

TEST_CASE("low_rank_gemm stops when it is cancelled") {
  const Problem problem(600, 200, 64, 16, Addend::none);
  Context context;
  context.flag = 1;
  const F32 x({600, 64}, problem.x), l({200, 16}, problem.left), r({16, 64}, problem.right), y({600, 200}),
      packed({cpu::low_rank_elements(200, 64, 16)});
  CHECK(cpu::pack_low_rank(&context, l, r, packed) == TERSOR_CANCELLED);
  const tersor_low_rank w{*static_cast<const tersor_tensor*>(packed), 200, 64, 16};
  CHECK(cpu::low_rank_gemm(&context, x, nullptr, &w, nullptr, y) == TERSOR_CANCELLED);
}

}  // namespace
}  // namespace tersor::test
