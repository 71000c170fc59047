#include "backend/fail.h"

#include <cstdarg>
#include <cstdio>

namespace tersor {

tersor_status fail(tersor_context* context, tersor_status status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(context->message, sizeof context->message, format, arguments);
  va_end(arguments);
  return status;
}

}  // namespace tersor
