// The part of x^T x that is the same on every vector ISA.
#pragma once

#include "cpu/gemm/gemm_blocked.h"
#include "cpu/gemm/gram.h"

namespace tersor::cpu {

// A product of x by itself (gemm_blocked.h), of which only the tiles that touch the upper half are computed.
tersor_status gram_blocked(const GramArguments& arguments, const GemmTiles& tiles);

}  // namespace tersor::cpu
