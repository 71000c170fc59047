// Walking memory by vectors of any ISA: whole ones first, then what is left.
#pragma once

#include <cstdint>

namespace tersor::cpu {
namespace {

// Stands for "all lanes" where a count of lanes may stand.
struct AllLanes {};

template <typename Vector>
typename Vector::Register load_lanes(const float* p, AllLanes) {
  return Vector::load(p);
}
template <typename Vector>
typename Vector::Register load_lanes(const float* p, int count) {
  return Vector::load(p, count);
}
template <typename Vector>
void store_lanes(float* p, typename Vector::Register v, AllLanes) {
  Vector::store(p, v);
}
template <typename Vector>
void store_lanes(float* p, typename Vector::Register v, int count) {
  Vector::store(p, v, count);
}

// body(i, lanes) for [0, count) by vectors; `lanes` is AllLanes, or for the last vector how many lanes are inside.
template <typename Vector, typename Body>
void for_each_vector(int64_t count, Body&& body) {
  int64_t i = 0;
  for (; i + Vector::kWidth <= count; i += Vector::kWidth) body(i, AllLanes{});
  if (i < count) body(i, static_cast<int>(count - i));
}

// v, or `other` in the lanes that are outside.
template <typename Vector>
typename Vector::Register lanes_or(typename Vector::Register v, float, AllLanes) {
  return v;
}
template <typename Vector>
typename Vector::Register lanes_or(typename Vector::Register v, float other, int count) {
  typename Vector::Integers lane;
  for (int i = 0; i < Vector::kWidth; ++i) lane[i] = i;
  return lane < count ? v : Vector::all(other);
}

// Elements whose sum may be taken in f32 before it is added to one in double.
inline constexpr int64_t kSumBlock = 1024;

// Sum over [0, count) of value(i, lanes), whose lanes outside must be 0: four f32 vectors inside blocks of kSumBlock,
// double across blocks.
template <typename Vector, typename Value>
double sum_vectors(int64_t count, Value&& value) {
  using Register = typename Vector::Register;
  constexpr int kWidth = Vector::kWidth;
  double total = 0;
  for (int64_t begin = 0; begin < count; begin += kSumBlock) {
    const int64_t end = count - begin < kSumBlock ? count : begin + kSumBlock;
    Register sums[4] = {Vector::all(0), Vector::all(0), Vector::all(0), Vector::all(0)};
    int64_t i = begin;
    for (; i + 4 * kWidth <= end; i += 4 * kWidth) {
#pragma GCC unroll 4
      for (int u = 0; u < 4; ++u) sums[u] += value(i + u * kWidth, AllLanes{});
    }
    for (; i + kWidth <= end; i += kWidth) sums[0] += value(i, AllLanes{});
    if (i < end) sums[1] += value(i, static_cast<int>(end - i));
    total += static_cast<double>(Vector::sum((sums[0] + sums[1]) + (sums[2] + sums[3])));
  }
  return total;
}

}  // namespace
}  // namespace tersor::cpu
