// Ordered list of the kernels of one operation: best first, scalar reference last. The first one that the machine (and
// TERSOR_ISA) allows is used; `kernel_report()` says which and why the others were passed over.
//
//   using Dot = float(const float*, const float*, int64_t);
//   const KernelList<Dot> dot("dot", {{"dot_avx2", Isa::avx2, dot_avx2}, {"dot_scalar", Isa::scalar, dot_scalar}});
//   dot.best()(a, b, n);
//
// Lists are namespace-scope constants of baseline files; each registers itself for the report.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "core/cpu_features.h"

namespace tersor {

// The part that does not depend on the kernels' signature.
class KernelListBase {
 public:
  KernelListBase(const KernelListBase&) = delete;
  KernelListBase& operator=(const KernelListBase&) = delete;

 protected:
  using AnyFunction = void (*)();
  struct AnyEntry {
    const char* name;
    Isa isa;
    AnyFunction function;
  };

  KernelListBase(const char* operation, std::vector<AnyEntry> entries);
  ~KernelListBase();

  AnyFunction select() const;
  AnyFunction find(Isa isa) const;

 private:
  friend struct KernelRegistry;
  const char* operation_;
  std::vector<AnyEntry> entries_;
};

template <typename Function>
class KernelList : public KernelListBase {
 public:
  struct Entry {
    const char* name;
    Isa isa;
    Function* function;
  };

  KernelList(const char* operation, std::initializer_list<Entry> entries)
      : KernelListBase(operation, erased(entries)), best_(reinterpret_cast<Function*>(select())) {}

  Function* best() const { return best_; }

  // The kernel of exactly this level, or null when there is none or the machine cannot run it: for tests and
  // benchmarks.
  Function* at(Isa isa) const { return reinterpret_cast<Function*>(find(isa)); }

 private:
  static std::vector<AnyEntry> erased(std::initializer_list<Entry> entries) {
    std::vector<AnyEntry> any;
    for (const Entry& e : entries) any.push_back({e.name, e.isa, reinterpret_cast<AnyFunction>(e.function)});
    return any;
  }

  Function* best_;
};

struct KernelReport {
  const char* operation;
  const char* name;
  const char* isa;
  bool selected;
  std::string reason;  // empty when selected, else why it was passed over
};

// Every kernel of every list, in order of operation name, best first inside an operation.
std::vector<KernelReport> kernel_report();

}  // namespace tersor
