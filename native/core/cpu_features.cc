#include "core/cpu_features.h"

#include <cstdint>
#include <cstdlib>
#include <iterator>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace tersor {
namespace {

constexpr const char* kNames[] = {"scalar", "avx2", "avx512", "avx512_vnni"};

#if defined(__x86_64__)

struct CpuidLeaf {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

CpuidLeaf cpuid(unsigned leaf) {
  CpuidLeaf r;
  __get_cpuid_count(leaf, 0, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

// Which register files the operating system saves (XCR0); by hand because _xgetbv() would need -mxsave.
uint64_t saved_registers() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

constexpr bool has_all(uint64_t word, uint64_t bits) { return (word & bits) == bits; }

Isa detect() {
  constexpr unsigned kFma = 1u << 12, kOsxsave = 1u << 27, kAvx = 1u << 28, kF16c = 1u << 29;         // leaf 1 ecx
  constexpr unsigned kAvx2 = 1u << 5, kF = 1u << 16, kDq = 1u << 17, kBw = 1u << 30, kVl = 1u << 31;  // leaf 7 ebx
  constexpr unsigned kVnni = 1u << 11;                                                                // leaf 7 ecx
  constexpr uint64_t kYmmState = 0x06, kZmmState = 0xe6;

  const CpuidLeaf basic = cpuid(1), extended = cpuid(7);
  if (!has_all(basic.ecx, kFma | kOsxsave | kAvx | kF16c) || !has_all(extended.ebx, kAvx2)) return Isa::scalar;
  const uint64_t saved = saved_registers();
  if (!has_all(saved, kYmmState)) return Isa::scalar;
  if (!has_all(saved, kZmmState) || !has_all(extended.ebx, kF | kDq | kBw | kVl)) return Isa::avx2;
  return has_all(extended.ecx, kVnni) ? Isa::avx512_vnni : Isa::avx512;
}

#else

Isa detect() { return Isa::scalar; }

#endif

const IsaChoice& choice() {
  static const IsaChoice chosen = choose_isa(std::getenv("TERSOR_ISA"), detected_isa());
  return chosen;
}

}  // namespace

const char* name_of(Isa isa) { return kNames[static_cast<int>(isa)]; }

Isa detected_isa() {
  static const Isa isa = detect();
  return isa;
}

IsaChoice choose_isa(const char* wish, Isa detected) {
  if (wish == nullptr || *wish == '\0') return {detected, ""};
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (std::string(wish) != kNames[i]) continue;
    const Isa isa = static_cast<Isa>(i);
    if (isa <= detected) return {isa, ""};
    return {detected, std::string("expected at most ") + name_of(detected) + " (what this machine can run), got " +
                          wish + ", at TERSOR_ISA"};
  }
  return {detected, std::string("expected one of scalar, avx2, avx512, avx512_vnni, got ") + wish + ", at TERSOR_ISA"};
}

Isa active_isa() { return choice().isa; }

const char* isa_error() { return choice().error.c_str(); }

}  // namespace tersor
