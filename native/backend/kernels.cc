#include "backend/kernels.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tersor {

struct KernelRegistry {
  // Lives in a function so that it exists before the first list of any file, and never destroyed so that it outlives
  // the last.
  static std::vector<const KernelListBase*>& lists() {
    static auto* all = new std::vector<const KernelListBase*>;
    return *all;
  }

  static void append(const KernelListBase& list, std::vector<KernelReport>& report) {
    const char* selected = nullptr;
    for (const auto& entry : list.entries_) {
      KernelReport row{list.operation_, entry.name, name_of(entry.isa), false, ""};
      if (!detected_isas().has(entry.isa)) {
        row.reason = std::string("needs ") + row.isa + ", this machine has " + detected_isas().names();
      } else if (!active_isas().has(entry.isa)) {
        row.reason = std::string("needs ") + row.isa + ", TERSOR_ISA=" + name_of(active_isa());
      } else if (selected != nullptr) {
        row.reason = std::string(selected) + " comes first";
      } else {
        row.selected = true;
        selected = entry.name;
      }
      report.push_back(std::move(row));
    }
  }

  static std::vector<KernelReport> report() {
    std::vector<const KernelListBase*> ordered = lists();
    std::sort(ordered.begin(), ordered.end(), [](const KernelListBase* a, const KernelListBase* b) {
      return std::strcmp(a->operation_, b->operation_) < 0;
    });
    std::vector<KernelReport> rows;
    for (const KernelListBase* list : ordered) append(*list, rows);
    return rows;
  }
};

KernelListBase::KernelListBase(const char* operation, std::vector<AnyEntry> entries)
    : operation_(operation), entries_(std::move(entries)) {
  KernelRegistry::lists().push_back(this);
}

KernelListBase::~KernelListBase() { std::erase(KernelRegistry::lists(), this); }

KernelListBase::AnyFunction KernelListBase::select() const {
  for (const AnyEntry& entry : entries_) {
    if (active_isas().has(entry.isa)) return entry.function;
  }
  return nullptr;
}

KernelListBase::AnyFunction KernelListBase::find(Isa isa) const {
  if (!detected_isas().has(isa)) return nullptr;
  for (const AnyEntry& entry : entries_) {
    if (entry.isa == isa) return entry.function;
  }
  return nullptr;
}

std::vector<KernelReport> kernel_report() { return KernelRegistry::report(); }

}  // namespace tersor
