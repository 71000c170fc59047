// The devices a tensor may live on.
#pragma once

#include <string>
#include <vector>

#include "backend/backend.h"

namespace tersor::binding {

struct Device {
  const char* name;
  const tersor_backend* backend;  // null when not available
  std::string reason;             // why not; empty otherwise
};

// Every device Tersor knows, best known first.
std::vector<Device> devices();

// Throws ERR_TERSOR_DEVICE, saying why, for a device that is unknown or cannot be had.
const tersor_backend* backend_of(const std::string& device);

}  // namespace tersor::binding
