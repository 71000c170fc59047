// Ordered list of the kernels of one operation: best first, scalar reference last. The first one that the machine (and TERSOR_ISA)
// allows is used; `kernel_report()` says which and why the others were passed over.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "core/cpu_features.h"

namespace tersor {

struct KernelEntry {
  const char* name;
  Isa isa;
  void (*function)();
};

// Base of every list; keeps the process-wide chain that kernel_report() walks.
class KernelListBase {
 public:
  KernelListBase(const char* operation, std::initializer_list<KernelEntry> entries);

 protected:
  void (*select() const)();

 private:
  friend struct KernelReport;
  const char* operation_;
  std::vector<KernelEntry> entries_;
};

template <typename Function>
class KernelList : public KernelListBase {
 public:
  struct Entry {
    const char* name;
    Isa isa;
    Function* function;
  };
  KernelList(const char* operation, std::initializer_list<Entry> entries);
  Function* best() const;
  // The kernel of exactly this level, or null: for tests and benchmarks.
  Function* at(Isa isa) const;
};

}  // namespace tersor
