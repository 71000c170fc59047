#include <cstring>

#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/sparse/csr_check.h"
#include "cpu/sparse/csr_layout.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

constexpr int64_t kSlotsPerTask = kGrain / kCsrLanes / 4;

// A group's slots with the values of their places. A place that is none, as that of what fills up a lane, has value 0.
void set_slots(const uint8_t* from, int64_t slots, const float* values, int64_t count, uint8_t* to) {
  for (int64_t s = 0; s < slots; ++s, from += kCsrSlotBytes, to += kCsrSlotBytes) {
    std::memcpy(to, from, kCsrSlotValues);
    uint32_t places[kCsrLanes];
    float words[kCsrLanes];
    std::memcpy(places, from + kCsrSlotValues, sizeof places);
    for (int64_t i = 0; i < kCsrLanes; ++i) {
      const uint32_t place = places[i] - 1;
      words[i] = place < count ? values[place] : 0.0f;
    }
    std::memcpy(to + kCsrSlotValues, words, sizeof words);
  }
}

}  // namespace

tersor_status csr_set_values(tersor_context* context, const tersor_packed_csr* pattern, const tersor_tensor* values,
                             const tersor_tensor* packed) {
  if (const tersor_status status = check_packed(context, pattern, CsrWords::places); status != TERSOR_OK) return status;
  if (const tersor_status status = check_values(context, pattern, values); status != TERSOR_OK) return status;
  const PackedCsr from(pattern->packed.data);
  auto* to = data_of<uint8_t>(packed);
  CsrHeader header = from.header();
  header.words = CsrWords::f32;
  std::memcpy(to, &header, sizeof header);
  if (header.chunks == 0) return TERSOR_OK;
  std::memcpy(to + sizeof header, from.data() + sizeof header, static_cast<size_t>(header.chunks) * sizeof(CsrChunk));
  const int64_t slots_per_chunk = header.bytes / kCsrSlotBytes / header.chunks + 1;
  return for_chunks(context, header.chunks, std::max<int64_t>(1, kSlotsPerTask / slots_per_chunk),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t c = begin; c < end; ++c) {
                        const CsrChunk& chunk = from.chunk(c);
                        const int64_t slots_at = from.slots_at(c), last = from.end_of(c);
                        std::memcpy(to + chunk.blocks_at, from.data() + chunk.blocks_at,
                                    static_cast<size_t>(slots_at - chunk.blocks_at));
                        set_slots(from.data() + slots_at, (last - slots_at) / kCsrSlotBytes,
                                  data_of<const float>(values), elements_of(values), to + slots_at);
                      }
                    });
}

}  // namespace tersor::cpu
