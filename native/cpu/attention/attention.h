// Scaled dot-product attention without the n x n matrix: the kernels behind attention and attention_gradient.
//
// Queries go in blocks of kQueryBlock, keys in blocks of kKeyBlock; the softmax over keys is kept up as blocks go by
// (Milakov & Gimelshein 2018; Dao et al. 2022), and the backward pass makes each block of probabilities again from the
// logarithms of the sums. A block of scores stands transposed, [keys][queries]: then its products need no operand
// repacked, and what softmax does to a query is done to a lane, without sums across lanes.
#pragma once

#include <cstdint>

#include "backend/kernels.h"

namespace tersor::cpu {

inline constexpr int64_t kQueryBlock = 64, kKeyBlock = 96;

// Rows of one head inside a tensor [batch, rows, heads * columns].
struct HeadRows {
  float* data;
  int64_t stride;  // from a row to the next
};

// One query head and the key head that it reads.
struct AttentionHead {
  int64_t queries, keys, depth, value_depth;
  HeadRows q, k, v;
  float scale;
  bool causal;          // query i reads keys up to i + keys - queries
  const uint8_t* mask;  // [keys], 0: the key does not exist; or null
};

struct AttentionKernels {
  // Queries [begin, begin + count), count <= kQueryBlock: writes their rows of y, and log_sums [queries] unless null.
  void (*forward)(const AttentionHead&, int64_t begin, int64_t count, const HeadRows& y, float* log_sums,
                  float* scratch);

  // All queries against keys [key_begin, key_end): adds to their rows of dk and dv; dq is written. Stops when *cancel
  // becomes non-zero.
  void (*backward)(const AttentionHead&, int64_t key_begin, int64_t key_end, const HeadRows& y, const HeadRows& dy,
                   const float* log_sums, const HeadRows& dq, const HeadRows& dk, const HeadRows& dv, float* scratch,
                   const volatile int32_t* cancel);
};

// Floats of scratch that the kernels need.
inline int64_t attention_scratch(int64_t depth, int64_t value_depth) {
  return (kQueryBlock + 2 * kKeyBlock) * (depth + value_depth) + 2 * kKeyBlock * kQueryBlock + 4 * kQueryBlock;
}

using AttentionKernel = const AttentionKernels&();

extern const KernelList<AttentionKernel> attention_kernels;

AttentionKernel attention_scalar;
AttentionKernel attention_neon;
AttentionKernel attention_avx2;
AttentionKernel attention_avx512;

}  // namespace tersor::cpu
