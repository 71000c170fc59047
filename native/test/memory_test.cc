// Host memory operations and random tensors.
#include "core/half.h"
#include "cpu/operations.h"
#include "support.h"

namespace tersor::test {
namespace {

TEST_CASE("fill saturates to every byte-sized dtype and refuses bit-packed ones") {
  tersor_context context{};
  const Tensor i8(TERSOR_I8, {3}), u8(TERSOR_U8, {3}), i32(TERSOR_I32, {3}), u32(TERSOR_U32, {3}), i64(TERSOR_I64, {3});
  const Tensor f32(TERSOR_F32, {3}), f16(TERSOR_F16, {3}), bf16(TERSOR_BF16, {3}), packed(TERSOR_U4, {3});
  for (const tersor_tensor* y : std::initializer_list<const tersor_tensor*>{i8, u8, i32, u32, i64, f32, f16, bf16}) {
    CHECK(cpu::fill(&context, y, -1e20) == TERSOR_OK);
  }
  CHECK(i8.values<int8_t>() == std::vector<int8_t>(3, -128));
  CHECK(u8.values<uint8_t>() == std::vector<uint8_t>(3, 0));
  CHECK(i32.values<int32_t>() == std::vector<int32_t>(3, INT32_MIN));
  CHECK(u32.values<uint32_t>() == std::vector<uint32_t>(3, 0));
  CHECK(i64.values<int64_t>() == std::vector<int64_t>(3, INT64_MIN));
  CHECK(f32.values<float>() == std::vector<float>(3, -1e20f));
  CHECK(f16.values<uint16_t>() == std::vector<uint16_t>(3, 0xfc00));
  CHECK(bf16.values<uint16_t>() == std::vector<uint16_t>(3, f32_to_bf16(-1e20f)));
  CHECK(cpu::fill(&context, packed, 1) == TERSOR_INVALID_DTYPE);
  CHECK(std::string(context.message) == "expected a dtype of whole bytes, got u4, at fill");
}

TEST_CASE("cast rounds half to even, saturates, and returns what fits unchanged") {
  tersor_context context{};
  const std::vector<float> values = {0.5f, 1.5f, -2.5f, 300, -300, NAN, 3e9f, -3e9f};
  const Tensor x(TERSOR_F32, {2, 4}, values);
  const Tensor i8(TERSOR_I8, {2, 4}), u8(TERSOR_U8, {2, 4}), i32(TERSOR_I32, {2, 4}), i64(TERSOR_I64, {2, 4});
  CHECK(cpu::cast(&context, x, i8) == TERSOR_OK);
  CHECK(i8.values<int8_t>() == std::vector<int8_t>{0, 2, -2, 127, -128, 0, 127, -128});
  CHECK(cpu::cast(&context, x, u8) == TERSOR_OK);
  CHECK(u8.values<uint8_t>() == std::vector<uint8_t>{0, 2, 0, 255, 0, 0, 255, 0});
  CHECK(cpu::cast(&context, x, i32) == TERSOR_OK);
  CHECK(i32.values<int32_t>() == std::vector<int32_t>{0, 2, -2, 300, -300, 0, INT32_MAX, INT32_MIN});
  CHECK(cpu::cast(&context, x, i64) == TERSOR_INVALID_DTYPE);

  const Tensor y(TERSOR_F32, {2, 4}), half(TERSOR_F16, {2, 4}), brain(TERSOR_BF16, {2, 4});
  CHECK(cpu::cast(&context, i32, y) == TERSOR_OK);
  CHECK(y.values<float>() == std::vector<float>{0, 2, -2, 300, -300, 0, 2147483648.0f, -2147483648.0f});
  CHECK(cpu::cast(&context, x, half) == TERSOR_OK);
  CHECK(cpu::cast(&context, half, y) == TERSOR_OK);
  check_close("f16", y.values<float>(), {0.5, 1.5, -2.5, 300, -300, NAN, HUGE_VAL, -HUGE_VAL}, 0);
  CHECK(cpu::cast(&context, x, brain) == TERSOR_OK);
  CHECK(cpu::cast(&context, brain, y) == TERSOR_OK);
  CHECK(y.values<float>()[3] == 300);
  CHECK(std::isnan(y.values<float>()[5]));
}

std::vector<float> uniform(int64_t count, uint64_t seed, uint64_t offset, float low, float high) {
  tersor_context context{};
  const Tensor y(TERSOR_F32, {count});
  CHECK(cpu::random_uniform(&context, seed, offset, low, high, y) == TERSOR_OK);
  return y.values<float>();
}

std::vector<float> normal(int64_t count, uint64_t seed, uint64_t offset, float mean, float deviation) {
  tersor_context context{};
  const Tensor y(TERSOR_F32, {count});
  CHECK(cpu::random_normal(&context, seed, offset, mean, deviation, y) == TERSOR_OK);
  return y.values<float>();
}

using Draw = std::vector<float> (*)(int64_t, uint64_t, uint64_t, float, float);

TEST_CASE(
    "element i of a random stream depends neither on the tensor's size, nor on the offset it starts at, nor on "
    "threads") {
  for (const Draw draw : {Draw{uniform}, Draw{normal}}) {
    const auto whole = same_for_any_thread_count("random", [&] { return draw(30001, 7, 0, 0, 1); });
    for (const int64_t offset : {1, 2, 3, 4, 8191, 8193}) {
      const auto part = draw(17, 7, static_cast<uint64_t>(offset), 0, 1);
      check_same_bits("part", part, std::vector<float>(whole.begin() + offset, whole.begin() + offset + 17));
    }
    CHECK(draw(8, 8, 0, 0, 1) != std::vector<float>(whole.begin(), whole.begin() + 8));
    CHECK(draw(0, 7, 0, 0, 1).empty());
    CHECK(draw(3, 7, UINT64_MAX, 0, 1)[1] == whole[0]);
  }
}

TEST_CASE("uniform numbers are the top 24 bits of philox words, in [low, high)") {
  const PhiloxBlock words = philox4x32({0, 0, 0, 1}, 5, 1);
  const auto y = uniform(4, uint64_t{1} << 32 | 5, 0, 0, 1);
  for (size_t i = 0; i < 4; ++i) CHECK(y[i] == (words[i] >> 8) * 0x1p-24f);

  // One representable number: rounding must not reach the open end.
  const float next = std::nextafter(1.0f, 2.0f);
  for (const float value : uniform(1000, 1, 0, 1.0f, next)) CHECK(value == 1.0f);
  for (const float value : uniform(10, 1, 0, 2.5f, 2.5f)) CHECK(value == 2.5f);
  for (const float value : uniform(1000, 1, 0, -3e38f, 3e38f)) CHECK(std::abs(value) <= 3e38f);

  // Mean within five standard errors.
  const auto many = uniform(100000, 3, 0, -2, 4);
  double sum = 0;
  for (const float value : many) sum += value;
  CHECK(std::abs(sum / 1e5 - 1) < 5 * 6 / std::sqrt(12 * 1e5));
}

TEST_CASE("normal numbers have the asked mean and deviation, and pairs are not correlated") {
  const auto y = normal(100000, 11, 0, 3, 0.5f);
  double mean = 0, square = 0, product = 0;
  for (const float value : y) mean += value / 1e5;
  for (const float value : y) square += (value - mean) * (value - mean) / 1e5;
  for (size_t i = 0; i < y.size(); i += 2) product += (y[i] - mean) * (y[i + 1] - mean) / 5e4;
  CHECK(std::abs(mean - 3) < 5 * 0.5 / std::sqrt(1e5));
  CHECK(std::abs(square - 0.25) < 5 * 0.25 * std::sqrt(2 / 1e5));
  CHECK(std::abs(product) < 5 * 0.25 / std::sqrt(5e4));
}

TEST_CASE("random refuses bounds that make no sense") {
  tersor_context context{};
  const Tensor y(TERSOR_F32, {4});
  CHECK(cpu::random_uniform(&context, 0, 0, 2, 1, y) == TERSOR_INVALID_ARGUMENT);
  CHECK(std::string(context.message) == "expected low <= high, got 2 and 1, at random_uniform");
  CHECK(cpu::random_uniform(&context, 0, 0, NAN, 1, y) == TERSOR_NOT_FINITE);
  CHECK(cpu::random_normal(&context, 0, 0, 0, -1, y) == TERSOR_INVALID_ARGUMENT);
  CHECK(cpu::random_normal(&context, 0, 0, 0, INFINITY, y) == TERSOR_NOT_FINITE);
}

}  // namespace
}  // namespace tersor::test
