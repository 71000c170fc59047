// CSR indices come from files; one wrong column would read or write anywhere.
#pragma once

#include "backend/backend.h"

namespace tersor::cpu {

// Offsets start at 0, never decrease and end at the number of nonzeros; columns are < w->cols and ascend inside a row;
// no row holds more than `row_limit` nonzeros.
tersor_status check_csr(tersor_context* context, const tersor_csr* w, int64_t row_limit);

}  // namespace tersor::cpu
