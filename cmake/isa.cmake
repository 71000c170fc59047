# The ISA of a file is the end of its name; flags go on that file alone, so that the rest runs on any machine.
string(TOLOWER "${CMAKE_SYSTEM_PROCESSOR}" TERSOR_PROCESSOR)
if(TERSOR_PROCESSOR MATCHES "^(x86_64|amd64)$" AND NOT "${CMAKE_OSX_ARCHITECTURES}" MATCHES "arm64")
  set(TERSOR_X86 ON)
elseif(TERSOR_PROCESSOR MATCHES "^(aarch64|arm64)$" OR "${CMAKE_OSX_ARCHITECTURES}" MATCHES "arm64")
  set(TERSOR_ARM ON)
endif()

set(TERSOR_FLAGS_avx2 -mavx2 -mfma -mf16c)
set(TERSOR_FLAGS_avx512 ${TERSOR_FLAGS_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC bug 105593: its own AVX-512 header makes "undefined" registers in a way that it then warns about.
  list(APPEND TERSOR_FLAGS_avx512 -Wno-uninitialized -Wno-maybe-uninitialized)
endif()
set(TERSOR_FLAGS_avx2vnni ${TERSOR_FLAGS_avx2} -mavxvnni)
set(TERSOR_FLAGS_avx512vnni ${TERSOR_FLAGS_avx512} -mavx512vnni)
set(TERSOR_FLAGS_avx512vbmi ${TERSOR_FLAGS_avx512vnni} -mavx512vbmi)
set(TERSOR_FLAGS_avx512bf16 ${TERSOR_FLAGS_avx512vnni} -mavx512bf16)
# Every 64-bit ARM has NEON, so no flag tells headers which file they are in. For the same reason loops that are left to
# the compiler (activations, epilogue, encoding) need no file of their own.
set(TERSOR_FLAGS_neon -DTERSOR_NEON=1)
set(TERSOR_FLAGS_neondotprod ${TERSOR_FLAGS_neon} -march=armv8.2-a+dotprod)
set(TERSOR_FLAGS_neoni8mm ${TERSOR_FLAGS_neon} -march=armv8.2-a+dotprod+i8mm)

# Gives every source of the list named `variable` its flags; takes vector sources out of the list where they cannot be compiled.
function(tersor_apply_isa variable)
  set(kept)
  foreach(source IN LISTS ${variable})
    if(source MATCHES "_(avx2|avx2vnni|avx512|avx512vnni|avx512vbmi|avx512bf16|neon|neondotprod|neoni8mm)\\.cc$")
      set(isa ${CMAKE_MATCH_1})
      if((isa MATCHES "^avx" AND NOT TERSOR_X86) OR (isa MATCHES "^neon" AND NOT TERSOR_ARM))
        continue()
      endif()
      set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS ${TERSOR_FLAGS_${isa}})
    endif()
    list(APPEND kept ${source})
  endforeach()
  set(${variable} ${kept} PARENT_SCOPE)
endfunction()
