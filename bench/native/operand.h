// Operands in the backend's own memory, as a program's are, and calls of its operations.
#pragma once

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <memory>
#include <new>
#include <random>
#include <stdexcept>
#include <string>

#include "cpu/backend_cpu.h"

namespace tersor::bench {

class Operand {
 public:
  Operand(tersor_dtype dtype, std::initializer_list<int64_t> shape)
      : tensor_{.data = nullptr, .dtype = dtype, .rank = static_cast<int32_t>(shape.size()), .shape = {}} {
    std::copy(shape.begin(), shape.end(), tensor_.shape);
    for (const int64_t extent : shape) size_ *= extent;
    tersor_context context{};
    if (tersor_cpu_backend()->allocate(&context, bytes(), &tensor_.data) != TERSOR_OK) throw std::bad_alloc();
  }
  ~Operand() { tersor_cpu_backend()->release(tensor_.data, bytes()); }
  Operand(const Operand&) = delete;
  Operand& operator=(const Operand&) = delete;

  operator const tersor_tensor*() const { return &tensor_; }
  const tersor_tensor& operator*() const { return tensor_; }
  int64_t size() const { return size_; }
  size_t bytes() const { return static_cast<size_t>((size_ * bits_of(tensor_.dtype) + 7) / 8); }

  template <typename T>
  T* data() const {
    return static_cast<T*>(tensor_.data);
  }

  // Uniform integers in [low, high], divided by `divisor`; the same ones for the same seed.
  template <typename T>
  void fill(uint32_t seed, int low, int high, float divisor = 1) const {
    std::minstd_rand random(seed);
    const auto range = static_cast<uint32_t>(high - low + 1);
    for (int64_t i = 0; i < size_; ++i) {
      const int value = low + static_cast<int>((random() >> 8) % range);
      data<T>()[i] = static_cast<T>(static_cast<float>(value) / divisor);
    }
  }

 private:
  tersor_tensor tensor_;
  int64_t size_ = 1;
};

// Calls an operation of the backend; throws what it says when it fails.
template <typename Operation, typename... Arguments>
void call(Operation operation, const Arguments&... arguments) {
  tersor_context context{};
  if (operation(&context, arguments...) != TERSOR_OK) throw std::runtime_error(context.message);
}

// Throws when two results of one product differ by more than rounding explains: it allows a thousandth of the largest
// element, far above what the order of sums changes (k * 2^-24), far below what a wrong layout does.
inline void require_same(const Operand& ours, const float* theirs) {
  double largest = 0, difference = 0;
  for (int64_t i = 0; i < ours.size(); ++i) {
    const double a = ours.data<float>()[i], b = theirs[i];
    largest = std::max(largest, std::abs(b));
    const double apart = std::abs(a - b);
    if (!(apart <= difference)) difference = apart;  // a NaN stays and is refused
  }
  if (!(difference <= largest / 1000)) {
    throw std::runtime_error("expected our result to equal the peer's, got a difference of " +
                             std::to_string(difference) + " where the largest element is " + std::to_string(largest));
  }
}

}  // namespace tersor::bench
