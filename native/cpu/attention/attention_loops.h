// The loops of attention.h over vectors of any ISA. Every ISA file compiles them for itself (hence anonymous).
#pragma once

#include <cmath>
#include <cstring>

#include "cpu/attention/attention.h"
#include "cpu/vector/exponential.h"
#include "cpu/vector/small_product.h"

namespace tersor::cpu {
namespace {

// Up to kKeyBlock keys that a block of queries reads: where they are, or copied next to each other when some are
// masked.
struct KeyBlock {
  int64_t count = 0;
  int64_t places[kKeyBlock];
  const float *k = nullptr, *v = nullptr;
  int64_t k_stride = 0, v_stride = 0;

  bool adjacent() const { return places[count - 1] - places[0] == count - 1; }
};

// Keys of [begin, end) that exist, a block at a time.
class KeyBlocks {
 public:
  // `memory`: kKeyBlock * (depth + value_depth) floats.
  KeyBlocks(const AttentionHead& head, int64_t begin, int64_t end, float* memory)
      : head_(head), next_(begin), end_(end), k_copy_(memory), v_copy_(memory + kKeyBlock * head.depth) {
    // Equal blocks rather than full ones and a crumb.
    const int64_t blocks = (end - begin + kKeyBlock - 1) / kKeyBlock;
    most_ = blocks > 0 ? (end - begin + blocks - 1) / blocks : 0;
  }

  bool next(KeyBlock& block) {
    block.count = 0;
    for (; next_ < end_ && block.count < most_; ++next_) {
      if (head_.mask == nullptr || head_.mask[next_] != 0) block.places[block.count++] = next_;
    }
    if (block.count == 0) return false;
    place(block, head_.k, head_.depth, k_copy_, block.k, block.k_stride);
    place(block, head_.v, head_.value_depth, v_copy_, block.v, block.v_stride);
    return true;
  }

 private:
  static void place(const KeyBlock& block, const HeadRows& rows, int64_t columns, float* copy, const float*& data,
                    int64_t& stride) {
    if (block.adjacent()) {
      data = rows.data + block.places[0] * rows.stride;
      stride = rows.stride;
      return;
    }
    for (int64_t j = 0; j < block.count; ++j) {
      std::memcpy(copy + j * columns, rows.data + block.places[j] * rows.stride,
                  static_cast<size_t>(columns) * sizeof(float));
    }
    data = copy;
    stride = columns;
  }

  const AttentionHead& head_;
  int64_t next_, end_, most_;
  float *k_copy_, *v_copy_;
};

template <typename Vector>
struct AttentionLoops {
  using Register = typename Vector::Register;
  // Vectors of queries that are treated together.
  static constexpr int kGroup = 4;
  static_assert(kQueryBlock % (kGroup * Vector::kWidth) == 0);
  static constexpr int64_t kGroupLanes = kGroup * Vector::kWidth;

  // One past the last key that a query before `end` may read.
  static int64_t visible(const AttentionHead& head, int64_t end) {
    if (!head.causal) return head.keys;
    const int64_t last = end + head.keys - head.queries;
    return last < 0 ? 0 : last < head.keys ? last : head.keys;
  }

  // rows^T, with zeros for the lanes of queries that do not exist.
  static void load_transposed(const HeadRows& rows, int64_t begin, int64_t count, int64_t columns, float* to) {
    if (count < kQueryBlock) std::memset(to, 0, static_cast<size_t>(columns * kQueryBlock) * sizeof(float));
    transpose<Vector>(count, columns, rows.data + begin * rows.stride, rows.stride, to, kQueryBlock);
  }

  static void multiply(float* x, int64_t count, float factor) {
    for (int64_t i = 0; i < count; i += Vector::kWidth) {
      Vector::store(x + i, Vector::load(x + i) * Vector::all(factor));
    }
  }

  // scores[key][query] = k q^T; -infinity where a query may not read the key.
  static void make_scores(const AttentionHead& head, const KeyBlock& block, const float* q, int64_t begin,
                          float* scores) {
    small_product<Vector>(block.count, kQueryBlock, head.depth, {block.k, block.k_stride, 1}, q, kQueryBlock, scores,
                          kQueryBlock, false);
    if (!head.causal) return;
    for (int64_t j = 0; j < block.count; ++j) {
      const int64_t first = block.places[j] - (head.keys - head.queries) - begin;  // query of the block that reads it
      for (int64_t i = 0; i < first && i < kQueryBlock; ++i) scores[j * kQueryBlock + i] = -HUGE_VALF;
    }
  }

  // Takes a block of scores into the running maxima and sums; scores become exp(score - maximum), and what was summed
  // before is to be multiplied by `factors`.
  static void softmax_block(float* scores, int64_t keys, float* maxima, float* sums, float* factors) {
    for (int64_t lane = 0; lane < kQueryBlock; lane += kGroupLanes) {
      Register best[kGroup], shift[kGroup], total[kGroup];
#pragma GCC unroll 4
      for (int g = 0; g < kGroup; ++g) best[g] = Vector::load(maxima + lane + g * Vector::kWidth);
      for (int64_t j = 0; j < keys; ++j) {
        const float* row = scores + j * kQueryBlock + lane;
#pragma GCC unroll 4
        for (int g = 0; g < kGroup; ++g) best[g] = Vector::max(Vector::load(row + g * Vector::kWidth), best[g]);
      }
#pragma GCC unroll 4
      for (int g = 0; g < kGroup; ++g) {
        const int64_t at = lane + g * Vector::kWidth;
        // A query that has met no key yet: any shift will do but its own, which would make NaN.
        shift[g] = best[g] == Vector::all(-HUGE_VALF) ? Vector::all(0.0f) : best[g];
        const Register factor = exp_of_nonpositive_vector<Vector>(Vector::load(maxima + at) - shift[g]);
        Vector::store(factors + at, factor);
        Vector::store(maxima + at, best[g]);
        total[g] = Vector::load(sums + at) * factor;
      }
      for (int64_t j = 0; j < keys; ++j) {
        float* row = scores + j * kQueryBlock + lane;
#pragma GCC unroll 4
        for (int g = 0; g < kGroup; ++g) {
          const Register e = exp_of_nonpositive_vector<Vector>(Vector::load(row + g * Vector::kWidth) - shift[g]);
          Vector::store(row + g * Vector::kWidth, e);
          total[g] += e;
        }
      }
#pragma GCC unroll 4
      for (int g = 0; g < kGroup; ++g) Vector::store(sums + lane + g * Vector::kWidth, total[g]);
    }
  }

  // to[c] = factor * from[c]
  static void multiply_row(const float* from, int64_t columns, float factor, float* to) {
    for_each_vector<Vector>(columns, [=](int64_t c, auto lanes) {
      store_lanes<Vector>(to + c, load_lanes<Vector>(from + c, lanes) * Vector::all(factor), lanes);
    });
  }

  static void forward(const AttentionHead& head, int64_t begin, int64_t count, const HeadRows& y, float* log_sums,
                      float* scratch) {
    const int64_t columns = head.value_depth;
    float* const q = scratch;
    float* const out = q + head.depth * kQueryBlock;  // [queries][columns]
    float* const scores = out + columns * kQueryBlock;
    float* const maxima = scores + kKeyBlock * kQueryBlock;
    float* const sums = maxima + kQueryBlock;
    float* const factors = sums + kQueryBlock;
    load_transposed(head.q, begin, count, head.depth, q);
    multiply(q, head.depth * kQueryBlock, head.scale);
    for (int64_t i = 0; i < kQueryBlock; ++i) maxima[i] = -HUGE_VALF, sums[i] = 0.0f;

    KeyBlocks blocks(head, 0, visible(head, begin + count), factors + kQueryBlock);
    KeyBlock block;
    bool first = true;
    for (; blocks.next(block); first = false) {
      make_scores(head, block, q, begin, scores);
      softmax_block(scores, block.count, maxima, sums, factors);
      for (int64_t i = 0; i < count && !first; ++i) {
        float* const row = out + i * columns;
        if (factors[i] != 1.0f) multiply_row(row, columns, factors[i], row);
      }
      small_product<Vector>(count, columns, block.count, {scores, 1, kQueryBlock}, block.v, block.v_stride, out,
                            columns, !first);
    }
    for (int64_t i = 0; i < count; ++i) {
      float* const row = y.data + (begin + i) * y.stride;
      if (sums[i] == 0.0f) {
        std::memset(row, 0, static_cast<size_t>(columns) * sizeof(float));
      } else {
        multiply_row(out + i * columns, columns, 1.0f / sums[i], row);
      }
      // +infinity makes every probability of a query without keys 0 when it is made again.
      if (log_sums != nullptr) log_sums[begin + i] = sums[i] == 0.0f ? HUGE_VALF : maxima[i] + std::log(sums[i]);
    }
  }

  // scores become probabilities; slopes, which are dy v^T, those of the scores before scaling: scale p (slope - inner).
  static void softmax_gradient_block(float* scores, float* slopes, int64_t keys, const float* log_sums,
                                     const float* inner, float scale) {
    for (int64_t lane = 0; lane < kQueryBlock; lane += kGroupLanes) {
      Register shift[kGroup], mean[kGroup];
#pragma GCC unroll 4
      for (int g = 0; g < kGroup; ++g) {
        shift[g] = Vector::load(log_sums + lane + g * Vector::kWidth);
        mean[g] = Vector::load(inner + lane + g * Vector::kWidth);
      }
      for (int64_t j = 0; j < keys; ++j) {
        const int64_t row = j * kQueryBlock + lane;
#pragma GCC unroll 4
        for (int g = 0; g < kGroup; ++g) {
          const int64_t at = row + g * Vector::kWidth;
          const Register p = exp_of_nonpositive_vector<Vector>(Vector::load(scores + at) - shift[g]);
          Vector::store(scores + at, p);
          Vector::store(slopes + at, p * Vector::all(scale) * (Vector::load(slopes + at) - mean[g]));
        }
      }
    }
  }

  // to[key] += sum over queries of a[key][query] * b[query], for the keys of a block.
  static void add_to_keys(const KeyBlock& block, const float* a, const HeadRows& b, int64_t begin, int64_t queries,
                          int64_t columns, const HeadRows& to, float* memory) {
    const Strided left = {a, kQueryBlock, 1};
    const float* const right = b.data + begin * b.stride;
    if (block.adjacent()) {
      small_product<Vector>(block.count, columns, queries, left, right, b.stride, to.data + block.places[0] * to.stride,
                            to.stride, true);
      return;
    }
    small_product<Vector>(block.count, columns, queries, left, right, b.stride, memory, columns, false);
    for (int64_t j = 0; j < block.count; ++j) {
      float* const row = to.data + block.places[j] * to.stride;
      for (int64_t c = 0; c < columns; ++c) row[c] += memory[j * columns + c];
    }
  }

  static void backward(const AttentionHead& head, int64_t key_begin, int64_t key_end, const HeadRows& y,
                       const HeadRows& dy, const float* log_sums, const HeadRows& dq, const HeadRows& dk,
                       const HeadRows& dv, float* scratch, const volatile int32_t* cancel) {
    const int64_t depth = head.depth, value_depth = head.value_depth;
    float* const q = scratch;
    float* const dy_t = q + kQueryBlock * depth;
    float* const scores = dy_t + kQueryBlock * value_depth;
    float* const slopes = scores + kKeyBlock * kQueryBlock;
    float* const inner = slopes + kKeyBlock * kQueryBlock;
    float* const sums = inner + kQueryBlock;
    float* const key_rows = sums + kQueryBlock;
    float* const key_slopes = key_rows + kKeyBlock * (depth + value_depth);

    for (int64_t begin = 0; begin < head.queries; begin += kQueryBlock) {
      if (cancel != nullptr && __atomic_load_n(cancel, __ATOMIC_RELAXED) != 0) return;
      const int64_t count = head.queries - begin < kQueryBlock ? head.queries - begin : kQueryBlock;
      load_transposed(head.q, begin, count, depth, q);
      multiply(q, depth * kQueryBlock, head.scale);
      load_transposed(dy, begin, count, value_depth, dy_t);
      for (int64_t i = 0; i < count; ++i) {
        const float* const dy_row = dy.data + (begin + i) * dy.stride;
        const float* const y_row = y.data + (begin + i) * y.stride;
        inner[i] = static_cast<float>(sum_vectors<Vector>(value_depth, [=](int64_t c, auto lanes) {
          return load_lanes<Vector>(dy_row + c, lanes) * load_lanes<Vector>(y_row + c, lanes);
        }));
        sums[i] = log_sums[begin + i];
      }
      for (int64_t i = count; i < kQueryBlock; ++i) inner[i] = 0.0f, sums[i] = HUGE_VALF;

      const int64_t last = visible(head, begin + count);
      KeyBlocks blocks(head, key_begin, last < key_end ? last : key_end, key_rows);
      KeyBlock block;
      bool first = true;
      for (; blocks.next(block); first = false) {
        make_scores(head, block, q, begin, scores);
        small_product<Vector>(block.count, kQueryBlock, value_depth, {block.v, block.v_stride, 1}, dy_t, kQueryBlock,
                              slopes, kQueryBlock, false);
        softmax_gradient_block(scores, slopes, block.count, sums, inner, head.scale);
        add_to_keys(block, scores, dy, begin, count, value_depth, dv, key_slopes);
        add_to_keys(block, slopes, head.q, begin, count, depth, dk, key_slopes);
        small_product<Vector>(count, depth, block.count, {slopes, 1, kQueryBlock}, block.k, block.k_stride,
                              dq.data + begin * dq.stride, dq.stride, !first);
      }
      for (int64_t i = 0; i < count && first; ++i) {
        std::memset(dq.data + (begin + i) * dq.stride, 0, static_cast<size_t>(depth) * sizeof(float));
      }
    }
  }
};

template <typename Vector>
constexpr AttentionKernels attention_loops() {
  return {AttentionLoops<Vector>::forward, AttentionLoops<Vector>::backward};
}

}  // namespace
}  // namespace tersor::cpu
