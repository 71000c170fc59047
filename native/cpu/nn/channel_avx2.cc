#include "cpu/nn/channel_loops.h"
#include "cpu/vector/vector_avx2.h"

namespace tersor::cpu {

const ChannelSpans& channel_avx2() {
  static constexpr ChannelSpans kLoops = channel_spans<Avx2Vector>();
  return kLoops;
}

}  // namespace tersor::cpu
