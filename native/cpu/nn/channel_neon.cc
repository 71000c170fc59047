#include "cpu/nn/channel_loops.h"
#include "cpu/vector/vector_neon.h"

namespace tersor::cpu {

const ChannelSpans& channel_neon() {
  static constexpr ChannelSpans kLoops = channel_spans<NeonVector>();
  return kLoops;
}

}  // namespace tersor::cpu
