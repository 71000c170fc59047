// CSR indices come from files; one wrong column would read or write anywhere.
#pragma once

#include "backend/backend.h"
#include "cpu/sparse/csr_layout.h"

namespace tersor::cpu {

// Offsets start at 0, never decrease and end at the number of nonzeros; columns are < w->cols and ascend inside a row;
// no row holds more than `row_limit` nonzeros.
tersor_status check_csr(tersor_context* context, const tersor_csr* w, int64_t row_limit);

// Whether it is the layout of such a weight; i8 stands for integers of any size. The parts of a layout trust each
// other: only pack_csr makes one.
tersor_status check_packed(tersor_context* context, const tersor_packed_csr* w, CsrWords words);

// Whether there is a value for every nonzero of a pattern, which check_packed has seen.
tersor_status check_values(tersor_context* context, const tersor_packed_csr* pattern, const tersor_tensor* values);

}  // namespace tersor::cpu
