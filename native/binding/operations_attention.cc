// Attention and its gradients.
#include "binding/operation.h"

namespace tersor::binding {
namespace {

struct AttentionArguments {
  Operand q, k, v;
  int64_t heads, key_heads;
  float scale;
  bool causal;
  OptionalTensor mask;
  tersor_attention get() const { return {heads, key_heads, scale, causal, mask.get()}; }
};

// A number of heads that cuts the columns of `operand` into equal parts.
int64_t heads_of(Arguments& in, const char* name, const Operand& operand) {
  const int64_t heads = in.integer(name, 1, 1 << 20);
  if (operand.dim(2) % heads == 0) return heads;
  in.fail(TERSOR_INVALID_SHAPE, std::string("expected columns of ") + operand.name + " to be a multiple of " + name +
                                    ", got " + std::to_string(operand.dim(2)) + " and " + std::to_string(heads));
}

AttentionArguments attention_arguments(Arguments& in) {
  const Operand q = in.input("q", kF32, 3), k = in.input("k", kF32, 3), v = in.input("v", kF32, 3);
  in.expect_shape(k, {q.dim(0), kAny, kAny}, {q});
  in.expect_shape(v, {k.dim(0), k.dim(1), kAny}, {k});
  const int64_t heads = heads_of(in, "heads", q), key_heads = heads_of(in, "keyHeads", k);
  if (heads % key_heads != 0 || v.dim(2) % key_heads != 0) {
    in.fail(TERSOR_INVALID_SHAPE, "expected heads and columns of v to be multiples of keyHeads, got " +
                                      std::to_string(heads) + ", " + std::to_string(v.dim(2)) + " and " +
                                      std::to_string(key_heads));
  }
  in.expect_shape(k, {q.dim(0), kAny, q.dim(2) / heads * key_heads}, {q});
  const float scale = in.finite("scale");
  const bool causal = in.boolean("causal");
  const OptionalOperand mask = in.optional_input("mask", kU8, 2);
  in.expect_shape(mask, {kAny, k.dim(1)}, {k});
  if (mask.present && (mask.operand.dim(0) == 0 || q.dim(0) % mask.operand.dim(0) != 0)) {
    in.fail(TERSOR_INVALID_SHAPE, "expected the batch of q to be a multiple of the rows of mask, got " +
                                      std::to_string(q.dim(0)) + " and " + std::to_string(mask.operand.dim(0)));
  }
  return {q, k, v, heads, key_heads, scale, causal, mask.tensor()};
}

auto attention(Arguments& in) {
  const AttentionArguments a = attention_arguments(in);
  const Operand y = in.output("y", kF32);
  in.expect_shape(y, {a.q.dim(0), a.q.dim(1), a.v.dim(2) / a.key_heads * a.heads}, {a.q, a.v});
  const OptionalOperand log_sums = in.optional_output("logSums", kF32);
  in.expect_shape(log_sums, {a.q.dim(0), a.heads, a.q.dim(1)}, {a.q});
  return [a, q = a.q.tensor(), k = a.k.tensor(), v = a.v.tensor(), y = y.tensor(), log_sums = log_sums.tensor()](
             const tersor_backend& backend, tersor_context* context) {
    const tersor_attention options = a.get();
    return backend.attention(context, &q, &k, &v, &options, &y, log_sums.get());
  };
}

auto attention_gradient(Arguments& in) {
  const AttentionArguments a = attention_arguments(in);
  const Operand y = in.input("y", kF32);
  in.expect_shape(y, {a.q.dim(0), a.q.dim(1), a.v.dim(2) / a.key_heads * a.heads}, {a.q, a.v});
  const Operand log_sums = in.input("logSums", kF32);
  in.expect_shape(log_sums, {a.q.dim(0), a.heads, a.q.dim(1)}, {a.q});
  const Operand dy = in.input("dy", kF32);
  in.expect_same_shape(dy, y);
  const Operand dq = in.output("dq", kF32), dk = in.output("dk", kF32), dv = in.output("dv", kF32);
  in.expect_same_shape(dq, a.q);
  in.expect_same_shape(dk, a.k);
  in.expect_same_shape(dv, a.v);
  return [a, q = a.q.tensor(), k = a.k.tensor(), v = a.v.tensor(), y = y.tensor(), log_sums = log_sums.tensor(),
          dy = dy.tensor(), dq = dq.tensor(), dk = dk.tensor(),
          dv = dv.tensor()](const tersor_backend& backend, tersor_context* context) {
    const tersor_attention options = a.get();
    return backend.attention_gradient(context, &q, &k, &v, &options, &y, &log_sums, &dy, &dq, &dk, &dv);
  };
}

constexpr Operation kOperations[] = {
    operation<attention>("attention", 10),
    operation<attention_gradient>("attentionGradient", 14),
};

}  // namespace

std::span<const Operation> attention_operations() { return kOperations; }

}  // namespace tersor::binding
