#include "cpu/nn/channel_loops.h"
#include "cpu/vector/vector_avx512.h"

namespace tersor::cpu {

const ChannelSpans& channel_avx512() {
  static constexpr ChannelSpans kLoops = channel_spans<Avx512Vector>();
  return kLoops;
}

}  // namespace tersor::cpu
