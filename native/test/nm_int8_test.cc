#include <string>

#include "cpu/int8/expand_nm.h"
#include "cpu/int8/nm_gemm_int8.h"
#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

using cpu::gemm_int8_kernels;
using cpu::Int8Kernel;
using cpu::nm_gemm_int8_with;

struct Pattern {
  int32_t keep, group, bits = 8;
};

constexpr Pattern kPatterns[] = {{2, 4}, {1, 4}, {3, 4}, {4, 8}, {1, 1}, {1, 2}, {1, 3}, {2, 5}, {2, 16}, {1, 7}};

// Every pattern with values of every size.
std::vector<Pattern> all_patterns() {
  std::vector<Pattern> patterns;
  for (const Pattern& pattern : kPatterns) {
    for (const int32_t bits : {8, 4}) patterns.push_back({pattern.keep, pattern.group, bits});
  }
  return patterns;
}

// i8 [n, k] with at most `keep` nonzeros in every group, some with fewer.
std::vector<int8_t> random_weight(Random& random, const Pattern& pattern, int64_t n, int64_t k) {
  std::vector<int8_t> w(static_cast<size_t>(n * k), 0);
  const int64_t high = pattern.bits == 8 ? 127 : 7;
  for (int64_t row = 0; row < n; ++row) {
    for (int64_t first = 0; first < k; first += pattern.group) {
      const int64_t columns = std::min<int64_t>(pattern.group, k - first);
      for (int64_t left = random.integer(0, pattern.keep); left > 0; --left) {
        const int64_t column = first + random.integer(0, columns - 1);
        w[static_cast<size_t>(row * k + column)] = static_cast<int8_t>(random.integer(-high - 1, high));
      }
    }
  }
  return w;
}

struct PackedNm {
  Typed<uint8_t> packed;
  tersor_nm view;

  PackedNm(const Pattern& pattern, const std::vector<int8_t>& w, int64_t n, int64_t k)
      : packed({cpu::nm_int8_bytes(n, k, pattern.keep, pattern.group, pattern.bits)}),
        view{*static_cast<const tersor_tensor*>(packed), n, k, pattern.keep, pattern.group, pattern.bits} {
    Context context;
    REQUIRE(cpu::pack_nm_int8(&context, Typed<int8_t>({n, k}, w), pattern.keep, pattern.group, pattern.bits, packed) ==
            TERSOR_OK);
  }
};

std::string name_of(const Pattern& pattern, int64_t m, int64_t n, int64_t k) {
  return " " + std::to_string(pattern.keep) + ":" + std::to_string(pattern.group) + " of " +
         std::to_string(pattern.bits) + " bits, " + std::to_string(m) + "x" + std::to_string(n) + "x" +
         std::to_string(k);
}

// The exact sum, then f32 in the order of the contract.
std::vector<float> expected_product(const std::vector<uint8_t>& x, const std::vector<int8_t>& w, int64_t m, int64_t n,
                                    int64_t k, const tersor_int8_codes& input, const std::vector<float>& scales,
                                    const std::vector<float>& bias) {
  std::vector<float> y;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      int64_t sum = 0;
      for (int64_t p = 0; p < k; ++p) {
        const int64_t code = x[static_cast<size_t>(i * k + p)] - int64_t{input.zero_point};
        sum += code * w[static_cast<size_t>(j * k + p)];
      }
      const float value = static_cast<float>(sum) * (input.scale * scales[static_cast<size_t>(j)]);
      y.push_back(value + bias[static_cast<size_t>(j)]);
    }
  }
  return y;
}

void check_product(const Pattern& pattern, int64_t m, int64_t n, int64_t k, uint32_t seed) {
  Random random(seed);
  const auto w = random_weight(random, pattern, n, k);
  const auto x = random.integers<uint8_t>(m * k, 0, 255);
  const auto scales = random.uniforms<float>(n, 0.001, 0.1), bias = random.uniforms<float>(n, -1, 1);
  const tersor_int8_codes input{0.037f, static_cast<int32_t>(random.integer(0, 255))};
  const auto expected = expected_product(x, w, m, n, k, input, scales, bias);
  const PackedNm packed(pattern, w, n, k);
  const Typed<uint8_t> codes({m, k}, x);
  const F32 factors({n}, scales), offsets({n}, bias), y({m, n});
  const tersor_epilogue epilogue{offsets, TERSOR_IDENTITY, nullptr};
  for_each_kernel(gemm_int8_kernels, [&](const std::string& isa, Int8Kernel* kernel) {
    const std::string what = isa + name_of(pattern, m, n, k);
    const auto run = [&] {
      Context context;
      REQUIRE(nm_gemm_int8_with(kernel, &context, codes, &packed.view, &input, factors, &epilogue, y) == TERSOR_OK);
      return y.values();
    };
    check_same_bits(what, same_for_any_thread_count(what, run), expected);
  });
}

TEST_CASE("nm_gemm_int8 gives the bits of the exact sum, for every pattern, tile and tail") {
  uint32_t seed = 1;
  for (const Pattern& pattern : all_patterns()) {
    for (const int64_t m : {0, 1, 2, 5, 8, 13, 16, 25}) {
      for (const int64_t n : {0, 1, 33, 70}) {
        for (const int64_t k : {0, 1, 7, 32, 101}) check_product(pattern, m, n, k, seed++);
      }
    }
  }
}

TEST_CASE("nm_gemm_int8 of random shapes, more than one panel of depth and one pass of rows") {
  Random random(3);
  const std::vector<Pattern> patterns = all_patterns();
  for (uint32_t round = 0; round < 30; ++round) {
    check_product(patterns[static_cast<size_t>(random.integer(0, 19))], random.integer(1, 30), random.integer(1, 100),
                  random.integer(1, 700), round);
  }
  for (const int32_t bits : {8, 4}) {
    for (const int64_t m : {1, 3, 20, 27}) {
      check_product({2, 4, bits}, m, 40, 1101, 1);
      check_product({1, 4, bits}, m, 40, 1102, 2);
    }
    check_product({2, 4, bits}, 300, 33, 70, 2);
  }
  check_product({4, 8, 4}, 27, 40, 1101, 1);
}

TEST_CASE("nm_gemm_int8 takes floats as gemm_int8 does, and gives its bits") {
  for (const Pattern& pattern : all_patterns()) {
    const int64_t m = 9, n = 40, k = 150;
    Random random(5);
    const auto w = random_weight(random, pattern, n, k);
    const PackedNm packed(pattern, w, n, k);
    const F32 x({m, k}, random.uniforms<float>(m * k, -3, 5)), scales({1}, {0.25f}), y({m, n}), dense_y({m, n});
    const Typed<uint8_t> dense({cpu::int8_bytes(n, k)});
    Context context;
    REQUIRE(cpu::pack_int8(&context, Typed<int8_t>({n, k}, w), dense) == TERSOR_OK);
    const tersor_int8_weight view{*static_cast<const tersor_tensor*>(dense), n, k};
    const tersor_int8_codes input{0.03f, 99};
    REQUIRE(cpu::nm_gemm_int8(&context, x, &packed.view, &input, scales, nullptr, y) == TERSOR_OK);
    REQUIRE(cpu::gemm_int8(&context, x, &view, &input, scales, nullptr, nullptr, dense_y) == TERSOR_OK);
    check_same_bits("static", y.values(), dense_y.values());
    REQUIRE(cpu::nm_gemm_int8(&context, x, &packed.view, nullptr, scales, nullptr, y) == TERSOR_OK);
    REQUIRE(cpu::gemm_int8(&context, x, &view, nullptr, scales, nullptr, nullptr, dense_y) == TERSOR_OK);
    check_same_bits("dynamic", y.values(), dense_y.values());
  }
}

TEST_CASE("nm_int8_bytes: as few values for four columns as the groups allow") {
  // Two eights of steps: sums, then for each of 32 rows and of the steps half a byte of mask and the values.
  const auto bytes = [](int32_t keep, int32_t group) { return cpu::nm_int8_bytes(32, 64, keep, group, 8); };
  const auto bytes4 = [](int32_t keep, int32_t group) { return cpu::nm_int8_bytes(32, 64, keep, group, 4); };
  const auto held = [](int64_t values) { return 128 + 16 * 32 * values + 16 * 32 / 2; };
  const auto held4 = [](int64_t values) { return 128 + 16 * 32 * values / 2 + 16 * 32 / 2; };
  CHECK(bytes(2, 4) == held(2));
  CHECK(bytes(1, 4) == held(1));
  CHECK(bytes(1, 8) == held(1));
  CHECK(bytes(1, 2) == held(2));
  CHECK(bytes(1, 3) == held(2));
  CHECK(bytes(2, 16) == held(2));
  CHECK(bytes(3, 16) == 128 + 16 * 32 * 4);
  CHECK(bytes(4, 8) == 128 + 16 * 32 * 4);
  CHECK(bytes(1, 1) == 128 + 16 * 32 * 4);
  // Values of four bits take half as much; where all four columns may be stored, no masks say which are.
  CHECK(bytes4(2, 4) == held4(2));
  CHECK(bytes4(1, 4) == held4(1));
  CHECK(bytes4(2, 16) == held4(2));
  for (const auto& [keep, group] : {std::pair{3, 16}, {4, 8}, {3, 4}, {1, 1}}) {
    CHECK(bytes4(keep, group) == 128 + 16 * 32 * 4 / 2);
  }
}

TEST_CASE("unpack_nm_int8 gives back what pack_nm_int8 took, whole or row by row") {
  uint32_t seed = 1;
  for (const Pattern& pattern : all_patterns()) {
    for (const int64_t n : {1, 33, 70}) {
      for (const int64_t k : {1, 4, 31, 32, 100}) {
        Random random(seed++);
        const auto w = random_weight(random, pattern, n, k);
        const PackedNm packed(pattern, w, n, k);
        const Typed<int8_t> y({n, k}), row({1, k});
        Context context;
        REQUIRE(cpu::unpack_nm_int8(&context, &packed.view, nullptr, y) == TERSOR_OK);
        check_same_bits(name_of(pattern, 0, n, k), y.values(), w);
        const auto id = static_cast<int32_t>(random.integer(0, n - 1));
        REQUIRE(cpu::unpack_nm_int8(&context, &packed.view, I32({1}, {id}), row) == TERSOR_OK);
        check_same_bits("row", row.values(), {w.begin() + id * k, w.begin() + (id + 1) * k});
      }
    }
  }
}

// One eight of steps as nm_layout.h has it, and what it stands for, appended to both.
void add_eight(Random& random, int64_t held, int64_t bits, std::vector<uint8_t>& eights,
               std::vector<int8_t>& expected) {
  if (held == 4) {
    for (int64_t step = 0; step < 8; ++step) {
      const auto bytes = random.integers<uint8_t>(64, 0, 255);
      for (const uint8_t byte : bytes) expected.push_back(static_cast<int8_t>(byte % 16 - 8));
      for (const uint8_t byte : bytes) expected.push_back(static_cast<int8_t>(byte / 16 - 8));
      eights.insert(eights.end(), bytes.begin(), bytes.end());
    }
    return;
  }
  const size_t base = expected.size();
  expected.resize(base + 8 * 128, 0);
  for (int64_t part = 0; part < 2; ++part) {
    std::vector<uint8_t> masks(64), bytes(static_cast<size_t>(8 * 16 * held * bits / 8));
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.integer(0, 255));
    const auto value = [&](int64_t i) {
      if (bits == 8) return static_cast<int8_t>(bytes[static_cast<size_t>(i)]);
      const int byte = bytes[static_cast<size_t>(i / 128 * 64 + i % 64)];
      return static_cast<int8_t>((i % 128 < 64 ? byte % 16 : byte / 16) - 8);
    };
    for (int64_t at = 0; at < 16 * 8; ++at) {
      const int64_t row = at / 8, step = at % 8;
      int64_t mask = random.integer(0, 15);
      while (__builtin_popcountll(static_cast<uint64_t>(mask)) > held) mask &= mask - 1;
      // Even steps first, then odd ones.
      const int64_t nibble = step % 2 * 4 + step / 2;
      masks[static_cast<size_t>(row * 4 + nibble / 2)] |= static_cast<uint8_t>(mask << (nibble % 2 * 4));
      // 64 values are a word of every row, of as many steps as fit.
      const int64_t together = 4 / held;
      int64_t next = step / together * 64 + row * 4 + step % together * held;
      for (int64_t k = 0; k < 4; ++k) {
        if ((mask >> k & 1) == 0) continue;
        expected[base + static_cast<size_t>((step * 32 + part * 16 + row) * 4 + k)] = value(next++);
      }
    }
    eights.insert(eights.end(), masks.begin(), masks.end());
    eights.insert(eights.end(), bytes.begin(), bytes.end());
  }
}

TEST_CASE("expand_nm: every kernel against the definition, for every mask and size of values") {
  struct Form {
    int64_t held, bits;
  };
  Random random(7);
  for (const Form& form : {Form{1, 8}, Form{2, 8}, Form{1, 4}, Form{2, 4}, Form{4, 4}}) {
    constexpr int64_t kCount = 3;
    std::vector<uint8_t> eights;
    std::vector<int8_t> expected;
    for (int64_t i = 0; i < kCount; ++i) add_eight(random, form.held, form.bits, eights, expected);
    const Typed<uint8_t> from({static_cast<int64_t>(eights.size())}, eights);
    for_each_kernel(cpu::expand_nm_kernels, [&](const std::string& isa, cpu::ExpandNmKernel* kernel) {
      const Typed<int8_t> to({kCount * 8 * 128});
      kernel(from.data<uint8_t>(), kCount, form.held, form.bits, to.data<int8_t>());
      check_same_bits(isa + " " + std::to_string(form.held) + " of " + std::to_string(form.bits) + " bits", to.values(),
                      expected);
    });
  }
}

TEST_CASE("N:M weights of i8: what cannot be, and what pack_nm_int8 did not make") {
  Context context;
  const Typed<uint8_t> packed({cpu::nm_int8_bytes(2, 8, 2, 4, 8)});
  const Typed<int8_t> w({2, 8}, {1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 3});
  CHECK(cpu::pack_nm_int8(&context, w, 2, 4, 8, packed) == TERSOR_INVALID_ARGUMENT);
  CHECK(std::string(context.message) == "expected at most 2 nonzeros of 4 columns, got more, at w[1, 4]");

  const Typed<uint8_t> half({cpu::nm_int8_bytes(2, 8, 2, 4, 4)});
  for (const int8_t wide : {int8_t{8}, int8_t{-9}}) {
    const Typed<int8_t> values({2, 8}, {1, 2, 0, 0, 0, 0, 0, 0, 0, 0, wide, 0, 1, 0, 2, 0});
    CHECK(cpu::pack_nm_int8(&context, values, 2, 4, 4, half) == TERSOR_OUT_OF_RANGE);
    CHECK(std::string(context.message) ==
          "expected -8..7, which 4 bits hold, got " + std::to_string(wide) + ", at w[1, 2]");
  }

  const int64_t bytes = cpu::nm_int8_bytes(2, 8, 2, 4, 8);
  const Typed<uint8_t> spoilt({bytes}, std::vector<uint8_t>(static_cast<size_t>(bytes), 0xff));
  const tersor_nm view{*static_cast<const tersor_tensor*>(spoilt), 2, 8, 2, 4, 8};
  const F32 x({1, 8}, std::vector<float>(8, 1.0f)), scales({1}, {1}), y({1, 2});
  CHECK(cpu::nm_gemm_int8(&context, x, &view, nullptr, scales, nullptr, y) == TERSOR_OK);
  CHECK(std::isfinite(y[0]));
  const tersor_int8_codes input{1, 256};
  CHECK(cpu::nm_gemm_int8(&context, x, &view, &input, scales, nullptr, y) == TERSOR_OUT_OF_RANGE);
  CHECK(std::string(context.message) == "expected a zero point in 0..255, got 256, at input of nm_gemm_int8");
  const Typed<int8_t> rows({1, 8});
  CHECK(cpu::unpack_nm_int8(&context, &view, I32({1}, {2}), rows) == TERSOR_OUT_OF_RANGE);
  CHECK(cpu::nm_int8_bytes(int64_t{1} << 31, int64_t{1} << 31, 2, 4, 8) > 0);
}

}  // namespace
}  // namespace tersor::test
