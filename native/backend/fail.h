// Filling in why an operation failed.
#pragma once

#include "backend/backend.h"

namespace tersor {

// Writes the printf-style text ("expected ..., got ..., at ...") into context->message, cut to fit, and returns
// `status`.
[[gnu::format(printf, 3, 4)]] tersor_status fail(tersor_context* context, tersor_status status, const char* format,
                                                 ...);

inline bool is_cancelled(const tersor_context* context) {
  return context->cancel != nullptr && __atomic_load_n(context->cancel, __ATOMIC_RELAXED) != 0;
}

}  // namespace tersor
