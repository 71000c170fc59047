#include "core/cpu_features.h"

#include <cstdint>
#include <cstdlib>
#include <iterator>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace tersor {
namespace {

constexpr const char* kNames[kIsaCount] = {"scalar",      "avx2",        "avx2_vnni", "avx512",       "avx512_vnni",
                                           "avx512_vbmi", "avx512_bf16", "neon",      "neon_dotprod", "neon_i8mm"};

#if defined(__x86_64__)

struct CpuidLeaf {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

CpuidLeaf cpuid(unsigned leaf, unsigned subleaf = 0) {
  CpuidLeaf r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

// Which register files the operating system saves (XCR0); by hand because _xgetbv() would need -mxsave.
uint64_t saved_registers() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

constexpr bool has_all(uint64_t word, uint64_t bits) { return (word & bits) == bits; }

IsaSet detect() {
  constexpr unsigned kFma = 1u << 12, kOsxsave = 1u << 27, kAvx = 1u << 28, kF16c = 1u << 29;         // leaf 1 ecx
  constexpr unsigned kAvx2 = 1u << 5, kF = 1u << 16, kDq = 1u << 17, kBw = 1u << 30, kVl = 1u << 31;  // leaf 7 ebx
  constexpr unsigned kVbmi = 1u << 1, kVnni = 1u << 11;                                               // leaf 7 ecx
  constexpr unsigned kAvxVnni = 1u << 4, kBf16 = 1u << 5;  // leaf 7, subleaf 1, eax
  constexpr uint64_t kYmmState = 0x06, kZmmState = 0xe6;

  IsaSet isas;
  const CpuidLeaf basic = cpuid(1), extended = cpuid(7), more = cpuid(7, 1);
  if (!has_all(basic.ecx, kFma | kOsxsave | kAvx | kF16c) || !has_all(extended.ebx, kAvx2)) return isas;
  const uint64_t saved = saved_registers();
  if (!has_all(saved, kYmmState)) return isas;
  isas = isas.with(Isa::avx2);
  if (has_all(more.eax, kAvxVnni)) isas = isas.with(Isa::avx2_vnni);
  if (!has_all(saved, kZmmState) || !has_all(extended.ebx, kF | kDq | kBw | kVl)) return isas;
  isas = isas.with(Isa::avx512);
  if (!has_all(extended.ecx, kVnni)) return isas;
  isas = isas.with(Isa::avx512_vnni);
  if (has_all(extended.ecx, kVbmi)) isas = isas.with(Isa::avx512_vbmi);
  return has_all(more.eax, kBf16) ? isas.with(Isa::avx512_bf16) : isas;
}

#elif defined(__aarch64__)

#if defined(__linux__)
bool has_dotprod() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
bool has_i8mm() { return (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0; }
#elif defined(__APPLE__)
bool is_set(const char* name) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
}
bool has_dotprod() { return is_set("hw.optional.arm.FEAT_DotProd"); }
bool has_i8mm() { return is_set("hw.optional.arm.FEAT_I8MM"); }
#else
bool has_dotprod() { return false; }
bool has_i8mm() { return false; }
#endif

IsaSet detect() {
  const IsaSet isas = IsaSet().with(Isa::neon);
  if (!has_dotprod()) return isas;
  return has_i8mm() ? isas.with(Isa::neon_dotprod).with(Isa::neon_i8mm) : isas.with(Isa::neon_dotprod);
}

#else

IsaSet detect() { return {}; }

#endif

const IsaChoice& choice() {
  static const IsaChoice chosen = choose_isa(std::getenv("TERSOR_ISA"), detected_isas());
  return chosen;
}

}  // namespace

const char* name_of(Isa isa) { return kNames[static_cast<int>(isa)]; }

Isa IsaSet::best() const {
  int best = kIsaCount - 1;
  while (!has(static_cast<Isa>(best))) --best;
  return static_cast<Isa>(best);
}

std::string IsaSet::names() const {
  std::string list;
  for (int i = 0; i < kIsaCount; ++i) {
    if (has(static_cast<Isa>(i))) list += (list.empty() ? "" : ", ") + std::string(kNames[i]);
  }
  return list;
}

IsaSet detected_isas() {
  static const IsaSet isas = detect();
  return isas;
}

IsaChoice choose_isa(const char* wish, IsaSet detected) {
  if (wish == nullptr || *wish == '\0') return {detected, ""};
  for (int i = 0; i < kIsaCount; ++i) {
    const Isa isa = static_cast<Isa>(i);
    if (wish == std::string(name_of(isa)) && detected.has(isa)) return {detected.up_to(isa), ""};
  }
  return {detected,
          "expected one of " + detected.names() + " (what this machine can run), got " + wish + ", at TERSOR_ISA"};
}

IsaSet active_isas() { return choice().allowed; }

Isa active_isa() { return active_isas().best(); }

const char* isa_error() { return choice().error.c_str(); }

}  // namespace tersor
