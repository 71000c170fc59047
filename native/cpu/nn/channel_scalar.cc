#include "cpu/nn/channel_loops.h"
#include "cpu/vector/vector_scalar.h"

namespace tersor::cpu {

const ChannelSpans& channel_scalar() {
  static constexpr ChannelSpans kLoops = channel_spans<BaselineVector>();
  return kLoops;
}

}  // namespace tersor::cpu
