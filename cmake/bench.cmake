# tersor-bench, which bench/bench.mjs runs. Not part of the published package.
if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/bench/native)
  message(FATAL_ERROR "TERSOR_BENCH needs a checkout of Tersor: the published package has no bench folder")
endif()
find_package(dnnl QUIET)
find_package(OpenMP QUIET)

file(GLOB TERSOR_BENCH_SOURCES CONFIGURE_DEPENDS bench/native/*.cc)
tersor_apply_isa(TERSOR_BENCH_SOURCES)
# The peer must use as many threads as we do; only its OpenMP build can be told so from outside.
if(dnnl_FOUND AND DNNL_CPU_RUNTIME STREQUAL "OMP" AND OpenMP_CXX_FOUND)
  list(FILTER TERSOR_BENCH_SOURCES EXCLUDE REGEX "peer_none\\.cc$")
  set(TERSOR_BENCH_PEER DNNL::dnnl OpenMP::OpenMP_CXX)
else()
  list(FILTER TERSOR_BENCH_SOURCES EXCLUDE REGEX "peer_onednn\\.cc$")
endif()

add_executable(tersor-bench ${TERSOR_BENCH_SOURCES})
target_link_libraries(tersor-bench PRIVATE tersor_core ${TERSOR_BENCH_PEER})
