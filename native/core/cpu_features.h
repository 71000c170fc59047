// What this CPU and operating system can run, by cpuid and xgetbv. Compiled without ISA flags.
#pragma once

#include <string>

namespace tersor {

// Levels of vector code, each including the ones before it. The names are those of TERSOR_ISA.
enum class Isa { scalar = 0, avx2 = 1, avx512 = 2, avx512_vnni = 3 };

const char* name_of(Isa isa);

// Highest level the machine can run: avx2 needs FMA and F16C too; avx512 needs F, BW, DQ, VL; the OS must save the
// registers.
Isa detected_isa();

struct IsaChoice {
  Isa isa;
  std::string error;  // empty, or why the wish could not be granted; isa is then `detected`
};

// Reads a value of TERSOR_ISA (null or "" = no wish) on a machine that can run `detected`.
IsaChoice choose_isa(const char* wish, Isa detected);

// detected_isa(), or the lower level that TERSOR_ISA asks for. An unknown or higher name is an error: see isa_error().
Isa active_isa();

// Empty, or why TERSOR_ISA cannot be honoured ("expected one of ..., got ..."). Whoever loads the library must refuse
// to go on.
const char* isa_error();

}  // namespace tersor
