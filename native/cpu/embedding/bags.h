// Bags as the caller describes them, checked.
#pragma once

#include "cpu/embedding/bag.h"

namespace tersor::cpu {

// Number of bags that offsets describe.
int64_t bag_count(const tersor_bags* bags);

// The ids against a table of `rows` rows, the offsets against the ids. `bounds` [bag_count + 1] receives where each bag
// begins, and the number of ids.
tersor_status check_bags(tersor_context* context, const tersor_bags* bags, int64_t rows, int64_t* bounds);

}  // namespace tersor::cpu
