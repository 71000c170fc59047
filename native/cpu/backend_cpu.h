// The CPU backend, always present.
#pragma once

#include "backend/backend.h"

const tersor_backend* tersor_cpu_backend();
