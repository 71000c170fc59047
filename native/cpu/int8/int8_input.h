// What every product of 8-bit activations checks and how it takes its x.
#pragma once

#include "cpu/int8/gemm_int8.h"

namespace tersor::cpu {

// Sums of `columns` products must fit in 32 bits.
tersor_status check_int8_depth(tersor_context* context, int64_t columns, const char* operation);

// Parameters of codes of `dtype` (those of f32 are u8).
tersor_status check_int8_codes(tersor_context* context, const tersor_int8_codes* codes, tersor_dtype dtype,
                               const char* where);

// x with its parameters; null: f32 whose rows are quantized dynamically.
Int8Input int8_input(const tersor_tensor* x, const tersor_int8_codes* codes);

}  // namespace tersor::cpu
