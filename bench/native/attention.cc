// Attention of `heads` heads beside the composition a user would write: products and softmax over the whole n x n
// matrix of each head, by our own operations. gradient=1: the backward pass, for which the composition has kept its
// probabilities. What a causal limit hides is not counted as work.
#include <cmath>
#include <memory>

#include "benchmark.h"
#include "operand.h"

namespace tersor::bench {
namespace {

struct Attention {
  int64_t batch, heads, n, d;
  bool causal;
  Operand q, k, v, y, log_sums, dy, dq, dk, dv;
  // The composition's: probabilities of all heads, and one head's slopes.
  Operand p, dp;

  explicit Attention(const Parameters& shape)
      : batch(shape["batch"]),
        heads(shape["heads"]),
        n(shape["n"]),
        d(shape["d"]),
        causal(shape["causal"] != 0),
        q(TERSOR_F32, {batch, n, heads * d}),
        k(TERSOR_F32, {batch, n, heads * d}),
        v(TERSOR_F32, {batch, n, heads * d}),
        y(TERSOR_F32, {batch, n, heads * d}),
        log_sums(TERSOR_F32, {batch, heads, n}),
        dy(TERSOR_F32, {batch, n, heads * d}),
        dq(TERSOR_F32, {batch, n, heads * d}),
        dk(TERSOR_F32, {batch, n, heads * d}),
        dv(TERSOR_F32, {batch, n, heads * d}),
        p(TERSOR_F32, {batch * heads, n, n}),
        dp(TERSOR_F32, {n, n}) {
    uint32_t seed = 1;
    for (const Operand* x : {&q, &k, &v, &dy}) x->fill<float>(seed++, -999, 999, 999);
    forward();
    compose();
  }

  tersor_attention options() const { return {heads, heads, 1.0f / std::sqrt(static_cast<float>(d)), causal, nullptr}; }

  void forward() const {
    const tersor_attention o = options();
    call(tersor_cpu_backend()->attention, q, k, v, &o, y, log_sums);
  }
  void backward() const {
    const tersor_attention o = options();
    call(tersor_cpu_backend()->attention_gradient, q, k, v, &o, y, log_sums, dy, dq, dk, dv);
  }

  // A head's rows as if heads lay one after the other: the composition must not pay for strides.
  static tersor_tensor head_of(const Operand& x, int64_t head, int64_t rows, int64_t columns) {
    return {x.data<float>() + head * rows * columns, TERSOR_F32, 2, {rows, columns, 0, 0}};
  }
  static void product(const tersor_tensor& a, bool ta, const tersor_tensor& b, bool tb, const tersor_tensor& c) {
    call(tersor_cpu_backend()->gemm, &a, ta, &b, tb, nullptr, 0, &c);
  }
  void compose() const {
    for (int64_t head = 0; head < batch * heads; ++head) {
      const auto of = [&](const Operand& x) { return head_of(x, head, n, d); };
      const tersor_tensor probabilities = head_of(p, head, n, n);
      product(of(q), false, of(k), true, probabilities);
      call(tersor_cpu_backend()->scale, &probabilities, options().scale, &probabilities);
      call(tersor_cpu_backend()->softmax, &probabilities, &probabilities);
      product(probabilities, false, of(v), false, of(y));
    }
  }
  void compose_gradient() const {
    for (int64_t head = 0; head < batch * heads; ++head) {
      const auto of = [&](const Operand& x) { return head_of(x, head, n, d); };
      const tersor_tensor probabilities = head_of(p, head, n, n), slopes = head_of(dp, 0, n, n);
      product(probabilities, true, of(dy), false, of(dv));
      product(of(dy), false, of(v), true, slopes);
      call(tersor_cpu_backend()->softmax_gradient, &probabilities, &slopes, &slopes);
      call(tersor_cpu_backend()->scale, &slopes, options().scale, &slopes);
      product(slopes, false, of(k), false, of(dq));
      product(slopes, true, of(q), false, of(dk));
    }
  }
};

}  // namespace

Benchmark attention(const Parameters& shape) {
  const auto p = std::make_shared<Attention>(shape);
  const bool gradient = shape["gradient"] != 0;
  const auto pairs = static_cast<double>(p->batch * p->heads * p->n) *
                     (p->causal ? static_cast<double>(p->n + 1) / 2 : static_cast<double>(p->n));
  Benchmark benchmark;
  // Two products forward; five backward, one of which makes the probabilities again.
  benchmark.operations = (gradient ? 10.0 : 4.0) * pairs * static_cast<double>(p->d);
  benchmark.bytes = static_cast<double>(p->q.bytes()) * (gradient ? 8 : 4);
  benchmark.ours = [p, gradient] { gradient ? p->backward() : p->forward(); };
  benchmark.peer_label = "gemm + softmax";
  benchmark.peer = [p, gradient] { gradient ? p->compose_gradient() : p->compose(); };
  return benchmark;
}

}  // namespace tersor::bench
