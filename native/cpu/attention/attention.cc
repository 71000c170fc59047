#include "cpu/attention/attention.h"

#include <algorithm>
#include <memory>
#include <new>

#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<AttentionKernel> attention_kernels("attention", {
#if TERSOR_X86
  {"attention_avx512", Isa::avx512, attention_avx512}, {"attention_avx2", Isa::avx2, attention_avx2},
#elif TERSOR_ARM
  {"attention_neon", Isa::neon, attention_neon},
#endif
      {"attention_scalar", Isa::scalar, attention_scalar},
});

namespace {

// Multiply-adds per chunk at least, where blocks of queries are that small: some 20 us.
constexpr int64_t kProductsPerChunk = int64_t{1} << 20;
// With fewer heads than this the backward pass also cuts the keys, into parts of at least kKeysPerPart: shapes alone
// decide.
constexpr int64_t kEnoughHeads = 8, kKeysPerPart = 512;

constexpr int64_t divide_up(int64_t value, int64_t by) { return (value + by - 1) / by; }

// Tensors [batch, rows, heads * columns], by head.
class Heads {
 public:
  Heads(const tersor_tensor* tensor, int64_t heads)
      : data_(data_of<float>(tensor)), rows_(tensor->shape[1]), stride_(tensor->shape[2]), columns_(stride_ / heads) {}

  int64_t columns() const { return columns_; }
  HeadRows at(int64_t batch, int64_t head) const {
    return {data_ + batch * rows_ * stride_ + head * columns_, stride_};
  }

 private:
  float* data_;
  int64_t rows_, stride_, columns_;
};

struct Problem {
  int64_t batch, queries, keys, heads, key_heads;
  Heads q, k, v;
  const uint8_t* mask;
  int64_t batches_per_mask;
  float scale;
  bool causal;

  Problem(const tersor_tensor* q_tensor, const tersor_tensor* k_tensor, const tersor_tensor* v_tensor,
          const tersor_attention* options)
      : batch(q_tensor->shape[0]),
        queries(q_tensor->shape[1]),
        keys(k_tensor->shape[1]),
        heads(options->heads),
        key_heads(options->key_heads),
        q(q_tensor, heads),
        k(k_tensor, key_heads),
        v(v_tensor, key_heads),
        mask(options->mask == nullptr ? nullptr : data_of<const uint8_t>(options->mask)),
        batches_per_mask(mask == nullptr ? 1 : batch / std::max<int64_t>(1, options->mask->shape[0])),
        scale(options->scale),
        causal(options->causal != 0) {}

  AttentionHead head(int64_t b, int64_t h) const {
    const int64_t key_head = h / (heads / key_heads);
    return {queries,
            keys,
            q.columns(),
            v.columns(),
            q.at(b, h),
            k.at(b, key_head),
            v.at(b, key_head),
            scale,
            causal,
            mask == nullptr ? nullptr : mask + b / batches_per_mask * keys};
  }

  size_t scratch_bytes() const {
    return static_cast<size_t>(attention_scratch(q.columns(), v.columns())) * sizeof(float);
  }
};

}  // namespace

tersor_status attention(tersor_context* context, const tersor_tensor* q, const tersor_tensor* k, const tersor_tensor* v,
                        const tersor_attention* options, const tersor_tensor* y, const tersor_tensor* log_sums) {
  const Problem p(q, k, v, options);
  const Heads out(y, p.heads);
  auto* const logs = log_sums == nullptr ? nullptr : data_of<float>(log_sums);
  const AttentionKernels& kernel = attention_kernels.best()();
  const int64_t blocks = divide_up(p.queries, kQueryBlock);
  const int64_t products = kQueryBlock * std::max<int64_t>(1, p.keys) * (p.q.columns() + p.v.columns());
  const int64_t grain = std::max<int64_t>(1, kProductsPerChunk / std::max<int64_t>(1, products));
  const auto forward = [&](int64_t begin, int64_t end) {
    void* memory = nullptr;
    tersor_context own{};
    if (scratch(&own, p.scratch_bytes(), &memory) != TERSOR_OK) return false;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t head = i / blocks, first = i % blocks * kQueryBlock;
      const int64_t b = head / p.heads, h = head % p.heads;
      kernel.forward(p.head(b, h), first, std::min(kQueryBlock, p.queries - first), out.at(b, h),
                     logs == nullptr ? nullptr : logs + head * p.queries, static_cast<float*>(memory));
    }
    return true;
  };
  return for_chunks_with_memory(context, p.batch * p.heads * blocks, grain, forward, [&] {
    return fail(context, TERSOR_OUT_OF_MEMORY, "expected memory for blocks, got none, at attention");
  });
}

// One chunk per key head and part of its keys: its dk and dv are nobody else's. dq is summed over parts in their order.
tersor_status attention_gradient(tersor_context* context, const tersor_tensor* q, const tersor_tensor* k,
                                 const tersor_tensor* v, const tersor_attention* options, const tersor_tensor* y,
                                 const tersor_tensor* log_sums, const tersor_tensor* dy, const tersor_tensor* dq,
                                 const tersor_tensor* dk, const tersor_tensor* dv) {
  const Problem p(q, k, v, options);
  const Heads out(y, p.heads), slopes(dy, p.heads), q_slopes(dq, p.heads);
  const Heads k_slopes(dk, p.key_heads), v_slopes(dv, p.key_heads);
  const auto* const logs = data_of<const float>(log_sums);
  std::fill_n(data_of<float>(dk), elements_of(dk), 0.0f);
  std::fill_n(data_of<float>(dv), elements_of(dv), 0.0f);
  if (elements_of(q) == 0) return TERSOR_OK;

  const int64_t all_heads = p.batch * p.key_heads;
  const int64_t wanted = all_heads < kEnoughHeads ? divide_up(kEnoughHeads, std::max<int64_t>(1, all_heads)) : 1;
  const int64_t parts = std::max<int64_t>(1, std::min(wanted, p.keys / kKeysPerPart));
  const int64_t part_keys = divide_up(p.keys, parts), q_elements = elements_of(q);
  std::unique_ptr<float[]> partial;  // dq of parts 1, 2, …
  if (parts > 1) {
    partial.reset(new (std::nothrow) float[static_cast<size_t>((parts - 1) * q_elements)]);
    if (partial == nullptr) {
      return fail(context, TERSOR_OUT_OF_MEMORY, "expected memory for partial sums, got none, at attention_gradient");
    }
  }

  const AttentionKernels& kernel = attention_kernels.best()();
  const auto backward = [&](int64_t begin, int64_t end) {
    void* memory = nullptr;
    tersor_context own{};
    if (scratch(&own, p.scratch_bytes(), &memory) != TERSOR_OK) return false;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t part = i % parts, b = i / parts / p.key_heads, key_head = i / parts % p.key_heads;
      const int64_t group = p.heads / p.key_heads;
      for (int64_t h = key_head * group; h < (key_head + 1) * group; ++h) {
        HeadRows to = q_slopes.at(b, h);
        if (part > 0) to.data = partial.get() + (part - 1) * q_elements + (to.data - data_of<float>(dq));
        kernel.backward(p.head(b, h), part * part_keys, std::min(p.keys, (part + 1) * part_keys), out.at(b, h),
                        slopes.at(b, h), logs + (b * p.heads + h) * p.queries, to, k_slopes.at(b, key_head),
                        v_slopes.at(b, key_head), static_cast<float*>(memory), context->cancel);
      }
    }
    return true;
  };
  const tersor_status status = for_chunks_with_memory(context, all_heads * parts, 1, backward, [&] {
    return fail(context, TERSOR_OUT_OF_MEMORY, "expected memory for blocks, got none, at attention_gradient");
  });
  if (status != TERSOR_OK) return status;
  if (is_cancelled(context)) return cancelled(context);
  return for_chunks(context, parts > 1 ? q_elements : 0, kGrain, [&](int64_t begin, int64_t end) {
    auto* const to = data_of<float>(dq);
    for (int64_t part = 1; part < parts; ++part) {
      const float* const from = partial.get() + (part - 1) * q_elements;
      for (int64_t i = begin; i < end; ++i) to[i] += from[i];
    }
  });
}

}  // namespace tersor::cpu
