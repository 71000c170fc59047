// What this CPU and operating system can run: by cpuid and xgetbv on x86-64, by the kernel's word on ARM. Compiled
// without ISA flags.
#pragma once

#include <cstdint>
#include <string>

namespace tersor {

// Levels of vector code; of two that a machine has, the later one is the better. The names are those of TERSOR_ISA.
//   avx2: with FMA and F16C; avx512: F, BW, DQ and VL; neon: what every 64-bit ARM has.
enum class Isa {
  scalar,
  avx2,
  avx2_vnni,
  avx512,
  avx512_vnni,
  avx512_vbmi,
  avx512_bf16,
  neon,
  neon_dotprod,
  neon_i8mm
};

inline constexpr int kIsaCount = 10;

const char* name_of(Isa isa);

// Levels that can be run. Scalar code can be run anywhere.
class IsaSet {
 public:
  constexpr IsaSet() = default;
  constexpr bool has(Isa isa) const { return (bits_ >> static_cast<int>(isa) & 1) != 0; }
  constexpr IsaSet with(Isa isa) const { return IsaSet(bits_ | 1u << static_cast<int>(isa)); }
  // Those no better than `isa`.
  constexpr IsaSet up_to(Isa isa) const { return IsaSet(bits_ & ((2u << static_cast<int>(isa)) - 1)); }
  Isa best() const;
  // "scalar, avx2".
  std::string names() const;

 private:
  constexpr explicit IsaSet(uint32_t bits) : bits_(bits) {}
  uint32_t bits_ = 1;
};

// What the machine can run; the operating system must save the registers.
IsaSet detected_isas();

struct IsaChoice {
  IsaSet allowed;
  std::string error;  // empty, or why the wish could not be granted; everything detected is then allowed
};

// Reads a value of TERSOR_ISA (null or "" = no wish) on a machine that can run `detected`.
IsaChoice choose_isa(const char* wish, IsaSet detected);

// What may be used: detected_isas() up to the level that TERSOR_ISA asks for. A name that is unknown or that this
// machine cannot run is an error: see isa_error().
IsaSet active_isas();

// The best of them.
Isa active_isa();

// Empty, or why TERSOR_ISA cannot be honoured ("expected one of ..., got ..."). Whoever loads the library must refuse
// to go on.
const char* isa_error();

}  // namespace tersor
