// What native tests share: guarded tensors, seeded values, comparison with float64 references, runs per thread count
// and kernel.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/kernels.h"
#include "core/philox.h"
#include "core/thread_pool.h"

namespace tersor::test {

using Shape = std::vector<int64_t>;

// Memory for one tensor between two guards. Writes outside are found when it goes out of scope, if not by `intact()`.
class Tensor {
 public:
  Tensor(tersor_dtype dtype, const Shape& shape) : view_{} {
    view_.dtype = dtype;
    view_.rank = static_cast<int32_t>(shape.size());
    int64_t rows = 1;
    for (size_t i = 0; i < shape.size(); ++i) {
      view_.shape[i] = shape[i];
      if (i + 1 < shape.size()) rows *= shape[i];
    }
    bytes_ = static_cast<size_t>(rows * row_bytes(dtype, shape.empty() ? 1 : shape.back()));
    memory_.assign(bytes_ + 3 * kGuard, kCanary);
    const auto address = reinterpret_cast<uintptr_t>(memory_.data()) + kGuard;
    start_ = kGuard + (kGuard - address % kGuard) % kGuard;
    view_.data = memory_.data() + start_;
  }

  template <typename T>
  Tensor(tersor_dtype dtype, const Shape& shape, const std::vector<T>& values) : Tensor(dtype, shape) {
    REQUIRE(values.size() * sizeof(T) == bytes_);
    if (bytes_ != 0) std::memcpy(view_.data, values.data(), bytes_);
  }

  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;
  ~Tensor() { CHECK_MESSAGE(intact(), "bytes outside a tensor were written"); }

  operator const tersor_tensor*() const { return &view_; }
  size_t bytes() const { return bytes_; }

  template <typename T>
  T* data() const {
    return static_cast<T*>(view_.data);
  }

  template <typename T>
  std::vector<T> values() const {
    return std::vector<T>(data<T>(), data<T>() + bytes_ / sizeof(T));
  }

  bool intact() const {
    const auto is_canary = [](unsigned char byte) { return byte == kCanary; };
    const auto start = memory_.begin() + static_cast<std::ptrdiff_t>(start_);
    return std::all_of(memory_.begin(), start, is_canary) &&
           std::all_of(start + static_cast<std::ptrdiff_t>(bytes_), memory_.end(), is_canary);
  }

 private:
  static constexpr size_t kGuard = 64;
  static constexpr unsigned char kCanary = 0xa5;

  std::vector<unsigned char> memory_;
  size_t start_ = 0, bytes_ = 0;
  tersor_tensor view_;
};

// Seeded numbers for test data.
class Random {
 public:
  explicit Random(uint32_t seed) : seed_(seed) {}

  uint32_t word() {
    if (used_ == 4) {
      block_ = philox4x32({count_++, 0, 0, 0}, seed_, 0x7e57);
      used_ = 0;
    }
    return block_[used_++];
  }
  double uniform(double low, double high) { return low + (high - low) * (word() * 0x1p-32); }
  // Inclusive on both sides.
  int64_t integer(int64_t low, int64_t high) { return low + word() % (high - low + 1); }

  template <typename T>
  std::vector<T> uniforms(int64_t count, double low, double high) {
    std::vector<T> values(static_cast<size_t>(count));
    for (T& value : values) value = static_cast<T>(uniform(low, high));
    return values;
  }
  template <typename T>
  std::vector<T> integers(int64_t count, int64_t low, int64_t high) {
    std::vector<T> values(static_cast<size_t>(count));
    for (T& value : values) value = static_cast<T>(integer(low, high));
    return values;
  }

 private:
  uint32_t seed_, count_ = 0;
  PhiloxBlock block_{};
  size_t used_ = 4;
};

inline int64_t count_of(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t dimension : shape) count *= dimension;
  return count;
}

// f32 tensor of numbers in [-1, 1).
inline Tensor random_f32(const Shape& shape, uint32_t seed) {
  return Tensor(TERSOR_F32, shape, Random(seed).uniforms<float>(count_of(shape), -1, 1));
}

// Checks |actual - expected| <= tolerance for every element and names the worst one. NaN is close to NaN only.
inline void check_close(const std::string& what, const std::vector<float>& actual, const std::vector<double>& expected,
                        const std::vector<double>& tolerance) {
  REQUIRE(actual.size() == expected.size());
  REQUIRE(actual.size() == tolerance.size());
  double worst_ratio = 1;
  size_t worst = actual.size();
  for (size_t i = 0; i < actual.size(); ++i) {
    const double value = actual[i];
    if (value == expected[i] || (std::isnan(value) && std::isnan(expected[i]))) continue;
    const double ratio = std::abs(value - expected[i]) / tolerance[i];
    const double comparable = std::isnan(ratio) ? HUGE_VAL : ratio;
    if (comparable > worst_ratio) {
      worst_ratio = comparable;
      worst = i;
    }
  }
  if (worst == actual.size()) return;
  FAIL_CHECK(what << ": expected " << expected[worst] << " +- " << tolerance[worst] << ", got " << actual[worst]
                  << ", at element " << worst << " of " << actual.size());
}

inline void check_close(const std::string& what, const std::vector<float>& actual, const std::vector<double>& expected,
                        double tolerance) {
  check_close(what, actual, expected, std::vector<double>(expected.size(), tolerance));
}

// Checks equality bit by bit (so that NaN equals itself and 0 is not -0).
template <typename T>
void check_same_bits(const std::string& what, const std::vector<T>& actual, const std::vector<T>& expected) {
  REQUIRE(actual.size() == expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    if (std::memcmp(&actual[i], &expected[i], sizeof(T)) == 0) continue;
    FAIL_CHECK(what << ": expected " << +expected[i] << ", got " << +actual[i] << ", at element " << i << " of "
                    << actual.size());
    return;
  }
}

// Sets the thread count for a scope.
class Threads {
 public:
  explicit Threads(int count) : before_(thread_count()) { set_thread_count(count); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() { set_thread_count(before_); }

 private:
  int before_;
};

// Runs body() with 1, 2 and 3 threads; its result must have the same bits every time. Returns it.
template <typename Body>
auto same_for_any_thread_count(const std::string& what, Body&& body) {
  const auto reference = [&] {
    const Threads one(1);
    return body();
  }();
  for (const int count : {2, 3}) {
    const Threads threads(count);
    check_same_bits(what + " on " + std::to_string(count) + " threads", body(), reference);
  }
  return reference;
}

// body(name of the level, kernel) for every kernel of the list that this machine can run, whatever TERSOR_ISA says.
template <typename Function, typename Body>
void for_each_kernel(const KernelList<Function>& list, Body&& body) {
  for (int i = 0; i < kIsaCount; ++i) {
    const Isa isa = static_cast<Isa>(i);
    if (Function* kernel = list.at(isa)) body(std::string(name_of(isa)), kernel);
  }
}

}  // namespace tersor::test
