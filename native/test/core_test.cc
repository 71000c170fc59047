// Philox, half floats, saturation, CPU features, kernel lists, buffers.
#include "backend/fail.h"
#include "core/buffer.h"
#include "core/half.h"
#include "core/saturate.h"
#include "cpu/operations.h"
#include "support.h"

namespace tersor::test {
namespace {

TEST_CASE("philox gives the known answers of Random123") {
  CHECK(philox4x32({0, 0, 0, 0}, 0, 0) == PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32({~0u, ~0u, ~0u, ~0u}, ~0u, ~0u) == PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0) ==
        PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

// Nearest value with `digits` significand bits and no step below 2^smallest, in float64 where every step is exact.
double rounded_to(double x, int digits, int smallest, double limit) {
  if (x == 0 || !std::isfinite(x)) return x;
  const int step = std::max(std::ilogb(x) - (digits - 1), smallest);
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(x, -step)), step);
  return std::abs(rounded) >= limit ? std::copysign(HUGE_VAL, x) : rounded;
}

TEST_CASE("f16 and bf16 round half to even, overflow to infinity and keep NaN") {
  // Every upper half of a float with lower halves below, at and above the ties of both formats.
  for (uint32_t high = 0; high < 0x10000; ++high) {
    for (const uint32_t low : {0x0000u, 0x0001u, 0x0fffu, 0x1000u, 0x1001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      const auto x = std::bit_cast<float>(high << 16 | low);
      const float half = f16_to_f32(f32_to_f16(x)), brain = bf16_to_f32(f32_to_bf16(x));
      if (std::isnan(x)) {
        if (!std::isnan(half) || !std::isnan(brain)) FAIL("NaN was lost, bits " << (high << 16 | low));
        continue;
      }
      const double half_expected = rounded_to(x, 11, -24, 65536), brain_expected = rounded_to(x, 8, -133, 0x1p128);
      if (half != half_expected || std::signbit(half) != std::signbit(x)) {
        FAIL("f16 of " << x << ": expected " << half_expected << ", got " << half);
      }
      if (brain != brain_expected || std::signbit(brain) != std::signbit(x)) {
        FAIL("bf16 of " << x << ": expected " << brain_expected << ", got " << brain);
      }
    }
  }
}

TEST_CASE("every f16 and bf16 bit pattern survives the way to f32 and back") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if (!std::isnan(f16_to_f32(half)) && f32_to_f16(f16_to_f32(half)) != half) FAIL("f16 bits " << bits);
    if (!std::isnan(bf16_to_f32(half)) && f32_to_bf16(bf16_to_f32(half)) != half) FAIL("bf16 bits " << bits);
  }
}

TEST_CASE("integers saturate, round half to even and take NaN as 0") {
  CHECK(saturated<int8_t>(2.5) == 2);
  CHECK(saturated<int8_t>(3.5) == 4);
  CHECK(saturated<int8_t>(-0.5) == 0);
  CHECK(saturated<int8_t>(127.5) == 127);
  CHECK(saturated<int8_t>(-1e30) == -128);
  CHECK(saturated<uint8_t>(-1) == 0);
  CHECK(saturated<uint8_t>(HUGE_VAL) == 255);
  CHECK(saturated<int32_t>(2147483647.0) == 2147483647);
  CHECK(saturated<int32_t>(NAN) == 0);
  CHECK(saturated<int64_t>(0x1p63) == INT64_MAX);
  CHECK(saturated<int64_t>(-0x1p63) == INT64_MIN);
  CHECK(saturated<uint32_t>(4294967295.0) == UINT32_MAX);
}

TEST_CASE("TERSOR_ISA may lower the level, never raise it, and a name nobody knows is an error") {
  const IsaSet skylake = IsaSet().with(Isa::avx2).with(Isa::avx512);
  const IsaSet alder_lake = IsaSet().with(Isa::avx2).with(Isa::avx2_vnni);
  CHECK(choose_isa(nullptr, skylake).allowed.best() == Isa::avx512);
  CHECK(choose_isa("", skylake).error.empty());
  CHECK(choose_isa("avx2", skylake).allowed.best() == Isa::avx2);
  CHECK(choose_isa("scalar", IsaSet()).error.empty());
  CHECK(choose_isa("avx512", alder_lake).error ==
        "expected one of scalar, avx2, avx2_vnni (what this machine can run), got avx512, at TERSOR_ISA");
  CHECK(choose_isa("AVX2", IsaSet()).error ==
        "expected one of scalar (what this machine can run), got AVX2, at TERSOR_ISA");
  CHECK(detected_isas().has(active_isa()));
}

TEST_CASE("a level that the machine skips is neither used nor in the way of a better one") {
  const IsaSet skylake = IsaSet().with(Isa::avx2).with(Isa::avx512);
  CHECK_FALSE(skylake.has(Isa::avx2_vnni));
  CHECK_FALSE(choose_isa("avx2_vnni", skylake).error.empty());
  CHECK(choose_isa("avx512", skylake).allowed.names() == "scalar, avx2, avx512");
  CHECK(skylake.up_to(Isa::avx2_vnni).best() == Isa::avx2);
}

int scalar_answer() { return 1; }
int vector_answer() { return 2; }

TEST_CASE("a kernel list uses its first allowed kernel and reports why the others were passed over") {
  const KernelList<int()> list("test_operation", {{"vector_answer", Isa::avx512_vnni, vector_answer},
                                                  {"first_answer", Isa::scalar, scalar_answer},
                                                  {"second_answer", Isa::scalar, vector_answer}});
  const bool has_vector = active_isas().has(Isa::avx512_vnni);
  CHECK(list.best()() == (has_vector ? 2 : 1));
  CHECK(list.at(Isa::scalar)() == 1);
  const bool has_avx2 = list.at(Isa::avx2) != nullptr;
  CHECK_FALSE(has_avx2);
  const bool can_run_vector = list.at(Isa::avx512_vnni) != nullptr;
  CHECK(can_run_vector == detected_isas().has(Isa::avx512_vnni));
  std::vector<KernelReport> rows;
  for (const KernelReport& row : kernel_report()) {
    if (std::string(row.operation) == "test_operation") rows.push_back(row);
  }
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].selected == has_vector);
  CHECK(rows[1].selected == !has_vector);
  CHECK(rows[2].reason == std::string(has_vector ? "vector_answer" : "first_answer") + " comes first");
  if (!has_vector) CHECK(rows[0].reason.substr(0, 18) == "needs avx512_vnni,");
}

TEST_CASE("every operation with kernels has exactly one in use, and a reason for each that is not") {
  std::vector<std::string> operations;
  for (const KernelReport& row : kernel_report()) {
    if (row.selected) operations.push_back(row.operation);
    CHECK(row.selected == row.reason.empty());
  }
  CHECK(std::adjacent_find(operations.begin(), operations.end()) == operations.end());
  for (const char* name : {"gemm", "gemm_int8"}) {
    CHECK(std::count(operations.begin(), operations.end(), name) == 1);
  }
  // A list that went away is not reported.
  for (const std::string& operation : operations) CHECK(operation != "test_operation");
}

tersor_backend memory_only() {
  tersor_backend backend{};
  backend.name = "memory only";
  backend.allocate = cpu::allocate;
  backend.release = cpu::release;
  return backend;
}

TEST_CASE("a buffer is aligned, counted while it lives and freed with its last owner") {
  const tersor_backend backend = memory_only();
  tersor_context context{};
  const MemoryUse before = memory_use();
  std::shared_ptr<Buffer> buffer;
  REQUIRE(Buffer::allocate(&backend, &context, 1000, &buffer) == TERSOR_OK);
  CHECK(reinterpret_cast<uintptr_t>(buffer->data()) % 64 == 0);
  std::shared_ptr<Buffer> empty;
  REQUIRE(Buffer::allocate(&backend, &context, 0, &empty) == TERSOR_OK);
  CHECK(empty->data() != nullptr);
  CHECK(memory_use().buffers == before.buffers + 2);
  CHECK(memory_use().bytes == before.bytes + 1000);
  std::shared_ptr<Buffer> second_owner = buffer;
  buffer.reset();
  CHECK(memory_use().bytes == before.bytes + 1000);
  second_owner.reset();
  empty.reset();
  CHECK(memory_use().buffers == before.buffers);
  CHECK(memory_use().bytes == before.bytes);
}

TEST_CASE("memory that cannot be had is a status, not a crash, and is not counted") {
  const tersor_backend backend = memory_only();
  const MemoryUse before = memory_use();
  for (const size_t bytes : {SIZE_MAX, SIZE_MAX / 2, size_t{1} << 62}) {
    tersor_context context{};
    std::shared_ptr<Buffer> buffer;
    CHECK(Buffer::allocate(&backend, &context, bytes, &buffer) == TERSOR_OUT_OF_MEMORY);
    CHECK(buffer == nullptr);
    CHECK(std::string(context.message) == "expected " + std::to_string(bytes) + " bytes of memory, got none");
  }
  CHECK(memory_use().buffers == before.buffers);
}

tersor_status bytes_of(tersor_dtype dtype, const Shape& shape, size_t* out) {
  tersor_context context{};
  return tensor_bytes(&context, dtype, static_cast<int32_t>(shape.size()), shape.data(), out);
}

TEST_CASE("tensor sizes: rows of bit-packed types are whole bytes, overflow and negative dimensions are errors") {
  size_t bytes = 7;
  CHECK(bytes_of(TERSOR_F32, {3, 5}, &bytes) == TERSOR_OK);
  CHECK(bytes == 60);
  CHECK(bytes_of(TERSOR_F32, {}, &bytes) == TERSOR_OK);
  CHECK(bytes == 4);
  CHECK(bytes_of(TERSOR_U3, {2, 3}, &bytes) == TERSOR_OK);
  CHECK(bytes == 4);
  CHECK(bytes_of(TERSOR_I64, {0, INT64_MAX}, &bytes) == TERSOR_OK);
  CHECK(bytes == 0);
  CHECK(bytes_of(TERSOR_I8, {INT64_MAX, 0}, &bytes) == TERSOR_OK);
  CHECK(bytes == 0);
  CHECK(bytes_of(TERSOR_F32, {-1}, &bytes) == TERSOR_INVALID_SHAPE);
  CHECK(bytes_of(TERSOR_F32, {INT64_MIN, 0}, &bytes) == TERSOR_INVALID_SHAPE);
  CHECK(bytes_of(TERSOR_F32, {1, 1, 1, 1, 1}, &bytes) == TERSOR_INVALID_SHAPE);
  CHECK(bytes_of(TERSOR_I8, {INT64_MAX}, &bytes) == TERSOR_OUT_OF_MEMORY);
  CHECK(bytes_of(TERSOR_I64, {int64_t{1} << 32, int64_t{1} << 32}, &bytes) == TERSOR_OUT_OF_MEMORY);
  CHECK(bytes_of(TERSOR_I64, {int64_t{1} << 40, int64_t{1} << 20, 3, 1}, &bytes) == TERSOR_OUT_OF_MEMORY);
  CHECK(bytes_of(static_cast<tersor_dtype>(12), {1}, &bytes) == TERSOR_INVALID_DTYPE);
}

TEST_CASE("an error text longer than the context is cut, not written past its end") {
  struct {
    tersor_context context;
    char after[8];
  } memory{};
  std::memset(memory.after, 0x5a, sizeof memory.after);
  const std::string text(1000, 'x');
  CHECK(fail(&memory.context, TERSOR_INTERNAL, "%s", text.c_str()) == TERSOR_INTERNAL);
  CHECK(std::string(memory.context.message) == text.substr(0, TERSOR_MESSAGE_BYTES - 1));
  for (const char byte : memory.after) CHECK(byte == 0x5a);
}

}  // namespace
}  // namespace tersor::test
