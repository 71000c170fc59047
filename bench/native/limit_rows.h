// The order in which random rows are fetched and read, whatever reads them: that of the embedding bags.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tersor::bench {
namespace {

template <int kLocality, typename Read>
void read_rows(const char* table, int64_t row_bytes, const int32_t* ids, int64_t count, int64_t ahead, Read&& read) {
  for (int64_t i = 0; i < count; ++i) {
    const char* next = table + ids[std::min(i + ahead, count - 1)] * row_bytes;
    for (int64_t at = 0; at < row_bytes - 8; at += 64) __builtin_prefetch(next + at, 0, kLocality);
    __builtin_prefetch(next + row_bytes - 1, 0, kLocality);
    read(table + ids[i] * row_bytes);
  }
}

template <typename Read>
void read_rows(const void* table, int64_t row_bytes, const int32_t* ids, int64_t count, int64_t ahead, bool to_l2,
               Read&& read) {
  if (to_l2) {
    read_rows<2>(static_cast<const char*>(table), row_bytes, ids, count, ahead, read);
  } else {
    read_rows<3>(static_cast<const char*>(table), row_bytes, ids, count, ahead, read);
  }
}

}  // namespace
}  // namespace tersor::bench
