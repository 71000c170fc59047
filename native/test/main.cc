// Runs every *_test.cc of this folder. Exit code 77 = TERSOR_ISA asks for a level this machine does not have.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>

#include "core/cpu_features.h"
#include "core/thread_pool.h"

// An allocation that is too big is a status of ours, not a crash of the sanitizer's.
extern "C" {
[[gnu::visibility("default")]] const char* __asan_default_options();
[[gnu::visibility("default")]] const char* __tsan_default_options();
const char* __asan_default_options() { return "allocator_may_return_null=1"; }
const char* __tsan_default_options() { return "allocator_may_return_null=1"; }
}

int main(int argc, char** argv) {
  for (const char* error : {tersor::isa_error(), tersor::thread_count_error()}) {
    if (*error == '\0') continue;
    std::fprintf(stderr, "%s\n", error);
    const char* wish = std::getenv("TERSOR_ISA");
    tersor::IsaSet all;
    for (int i = 0; i < tersor::kIsaCount; ++i) all = all.with(static_cast<tersor::Isa>(i));
    const bool only_this_machine = tersor::choose_isa(wish, all).error.empty();
    return error == tersor::isa_error() && only_this_machine ? 77 : 1;
  }
  std::printf("isa %s, %d threads\n", tersor::name_of(tersor::active_isa()), tersor::thread_count());
  doctest::Context context(argc, argv);
  return context.run();
}
