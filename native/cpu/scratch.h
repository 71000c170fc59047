// Memory that a thread keeps between calls, so that operations on the hot path allocate only when they grow.
#pragma once

#include "backend/backend.h"

namespace tersor::cpu {

// At least `bytes` of the calling thread's scratch, 64-byte aligned; valid until the next call from the same thread.
tersor_status scratch(tersor_context* context, size_t bytes, void** out);

// The same for one chunk of a parallel loop, apart from what the thread holds of scratch(): that may be the loop's
// input.
tersor_status chunk_scratch(tersor_context* context, size_t bytes, void** out);

// The same for what an operation makes and hands to others, which take scratch() of their own.
tersor_status operand_scratch(tersor_context* context, size_t bytes, void** out);

// The same for what a thread lays out once for all its chunks of a loop; see own_copies.h.
tersor_status copy_scratch(tersor_context* context, size_t bytes, void** out);

}  // namespace tersor::cpu
