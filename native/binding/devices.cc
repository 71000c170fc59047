#include "binding/devices.h"

#include "binding/error.h"
#include "cpu/backend_cpu.h"

namespace tersor::binding {

std::vector<Device> devices() {
  return {
      {"cpu", tersor_cpu_backend(), ""},
      {"cuda", nullptr, "this build has no CUDA backend"},
  };
}

const tersor_backend* backend_of(const std::string& device) {
  if (device == "cpu") return tersor_cpu_backend();  // without building the list: every tensor comes this way
  std::string names;
  for (const Device& known : devices()) {
    if (known.name == device) {
      throw Error{kDevice, "expected device \"" + device + "\" to be available, got: " + known.reason};
    }
    names += (names.empty() ? "\"" : ", \"") + std::string(known.name) + "\"";
  }
  throw Error{kDevice, "expected one of the devices " + names + ", got \"" + device + "\""};
}

}  // namespace tersor::binding
