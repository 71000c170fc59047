// Attention and its gradients: every kernel of the machine against the plain formula in float64.
#include "cpu/attention/attention.h"

#include <limits>
#include <string>

#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

struct Shape4 {
  int64_t batch, queries, keys, heads, key_heads, depth, value_depth;
  bool causal;
  int64_t mask_rows;  // 0: none
};

struct Values {
  std::vector<float> q, k, v, dy;
  std::vector<uint8_t> mask;
};

Values values_of(const Shape4& s, uint32_t seed) {
  Values x;
  x.q = uniform(s.batch * s.queries * s.heads * s.depth, seed, -2, 2);
  x.k = uniform(s.batch * s.keys * s.key_heads * s.depth, seed + 1, -2, 2);
  x.v = uniform(s.batch * s.keys * s.key_heads * s.value_depth, seed + 2);
  x.dy = uniform(s.batch * s.queries * s.heads * s.value_depth, seed + 3);
  Random random(seed + 4);
  for (int64_t i = 0; i < s.mask_rows * s.keys; ++i) x.mask.push_back(random.integer(0, 3) == 0 ? 0 : 7);
  // The last batch reads nothing.
  for (int64_t j = 0; s.mask_rows > 1 && j < s.keys; ++j)
    x.mask[static_cast<size_t>((s.mask_rows - 1) * s.keys + j)] = 0;
  return x;
}

struct Result64 {
  std::vector<double> y, log_sums, dq, dk, dv;
};

Result64 attention64(const Shape4& s, const Values& x, double scale) {
  Result64 r{std::vector<double>(x.dy.size()),
             {},
             std::vector<double>(x.q.size()),
             std::vector<double>(x.k.size()),
             std::vector<double>(x.v.size())};
  const auto at = [](int64_t b, int64_t rows, int64_t row, int64_t heads, int64_t h, int64_t columns, int64_t c) {
    return static_cast<size_t>(((b * rows + row) * heads + h) * columns + c);
  };
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.heads; ++h) {
      const int64_t kh = h / (s.heads / s.key_heads);
      for (int64_t i = 0; i < s.queries; ++i) {
        std::vector<double> p(static_cast<size_t>(s.keys), 0.0), slope(p);
        double total = 0, inner = 0;
        for (int64_t j = 0; j < s.keys; ++j) {
          if (s.causal && j > i + s.keys - s.queries) continue;
          if (s.mask_rows > 0 && x.mask[static_cast<size_t>(b / (s.batch / s.mask_rows) * s.keys + j)] == 0) continue;
          double score = 0;
          for (int64_t c = 0; c < s.depth; ++c) {
            score += static_cast<double>(x.q[at(b, s.queries, i, s.heads, h, s.depth, c)]) *
                     static_cast<double>(x.k[at(b, s.keys, j, s.key_heads, kh, s.depth, c)]);
          }
          total += p[j] = std::exp(scale * score);
        }
        r.log_sums.push_back(total > 0 ? std::log(total) : HUGE_VAL);
        for (int64_t j = 0; j < s.keys; ++j) {
          if (p[j] == 0) continue;
          p[j] /= total;
          for (int64_t c = 0; c < s.value_depth; ++c) {
            const size_t to = at(b, s.queries, i, s.heads, h, s.value_depth, c);
            const size_t from = at(b, s.keys, j, s.key_heads, kh, s.value_depth, c);
            r.y[to] += p[j] * static_cast<double>(x.v[from]);
            r.dv[from] += p[j] * static_cast<double>(x.dy[to]);
            slope[j] += static_cast<double>(x.v[from]) * static_cast<double>(x.dy[to]);
          }
          inner += p[j] * slope[j];
        }
        for (int64_t j = 0; j < s.keys; ++j) {
          for (int64_t c = 0; c < s.depth; ++c) {
            const size_t qi = at(b, s.queries, i, s.heads, h, s.depth, c);
            const size_t ki = at(b, s.keys, j, s.key_heads, kh, s.depth, c);
            const double d = scale * p[j] * (slope[j] - inner);
            r.dq[qi] += d * static_cast<double>(x.k[ki]);
            r.dk[ki] += d * static_cast<double>(x.q[qi]);
          }
        }
      }
    }
  }
  return r;
}

const Shape4 kShapes[] = {
    {1, 1, 1, 1, 1, 1, 1, false, 0},      {2, 7, 7, 4, 4, 6, 6, false, 2},      {1, 64, 96, 1, 1, 64, 64, false, 0},
    {1, 65, 97, 2, 2, 17, 33, true, 0},   {2, 130, 130, 2, 1, 32, 32, true, 2}, {4, 3, 200, 2, 2, 8, 5, false, 2},
    {1, 200, 50, 1, 1, 16, 16, true, 0},  {1, 33, 300, 6, 3, 40, 8, true, 1},   {2, 50, 50, 1, 1, 50, 50, true, 2},
    {1, 70, 1100, 1, 1, 9, 20, false, 1},
};

// Runs the kernels themselves on every head.
struct KernelRun {
  F32 q, k, v, dy, y, log_sums, dq, dk, dv;

  KernelRun(const Shape4& s, const Values& x, const cpu::AttentionKernels& kernel, float scale)
      : q({s.batch, s.queries, s.heads * s.depth}, x.q),
        k({s.batch, s.keys, s.key_heads * s.depth}, x.k),
        v({s.batch, s.keys, s.key_heads * s.value_depth}, x.v),
        dy({s.batch, s.queries, s.heads * s.value_depth}, x.dy),
        y({s.batch, s.queries, s.heads * s.value_depth}),
        log_sums({s.batch, s.heads, s.queries}),
        dq({s.batch, s.queries, s.heads * s.depth}),
        dk({s.batch, s.keys, s.key_heads * s.depth}, std::vector<float>(x.k.size(), 0.0f)),
        dv({s.batch, s.keys, s.key_heads * s.value_depth}, std::vector<float>(x.v.size(), 0.0f)) {
    const F32 scratch({cpu::attention_scratch(s.depth, s.value_depth)});
    for (int64_t b = 0; b < s.batch; ++b) {
      for (int64_t h = 0; h < s.heads; ++h) {
        const int64_t kh = h / (s.heads / s.key_heads);
        const auto rows = [b](const F32& t, int64_t n, int64_t heads, int64_t head, int64_t columns) {
          return cpu::HeadRows{t.data<float>() + (b * n * heads + head) * columns, heads * columns};
        };
        const auto queries = [&](const F32& t, int64_t columns) { return rows(t, s.queries, s.heads, h, columns); };
        const auto keys = [&](const F32& t, int64_t columns) { return rows(t, s.keys, s.key_heads, kh, columns); };
        const cpu::AttentionHead head{
            s.queries,
            s.keys,
            s.depth,
            s.value_depth,
            queries(q, s.depth),
            keys(k, s.depth),
            keys(v, s.value_depth),
            scale,
            s.causal,
            s.mask_rows == 0 ? nullptr : &x.mask[static_cast<size_t>(b / (s.batch / s.mask_rows) * s.keys)]};
        float* const logs = log_sums.data<float>() + (b * s.heads + h) * s.queries;
        for (int64_t i = 0; i < s.queries; i += cpu::kQueryBlock) {
          kernel.forward(head, i, std::min(cpu::kQueryBlock, s.queries - i), queries(y, s.value_depth), logs,
                         scratch.data<float>());
        }
        kernel.backward(head, 0, s.keys, queries(y, s.value_depth), queries(dy, s.value_depth), logs,
                        queries(dq, s.depth), keys(dk, s.depth), keys(dv, s.value_depth), scratch.data<float>(),
                        nullptr);
      }
    }
  }
};

}  // namespace

TEST_CASE("attention kernels: values and gradients against float64; heads, masks, causal limits, ragged blocks") {
  for_each_kernel(cpu::attention_kernels, [](const std::string& isa, auto kernel) {
    CAPTURE(isa);
    uint32_t seed = 100;
    for (const Shape4& s : kShapes) {
      CAPTURE(s.queries);
      CAPTURE(s.keys);
      CAPTURE(s.depth);
      const Values x = values_of(s, seed += 10);
      const float scale = 1.0f / std::sqrt(static_cast<float>(s.depth));
      const Result64 expected = attention64(s, x, static_cast<double>(scale));
      const KernelRun got(s, x, kernel(), scale);
      // A score is a sum of `depth` products of at most 4, scaled; its error moves every probability by that share.
      const double depth = static_cast<double>(s.depth), relative = (4 * depth * std::sqrt(depth) + 60) * kEpsilon;
      const double group = static_cast<double>(s.heads / s.key_heads) * static_cast<double>(s.queries);
      check_close("y", got.y.values(), expected.y, relative);
      check_close("log sums", got.log_sums.values(), expected.log_sums, relative + 8 * kEpsilon * depth);
      check_close("dq", got.dq.values(), expected.dq, relative * 8 * static_cast<double>(s.value_depth));
      check_close("dk", got.dk.values(), expected.dk,
                  relative * 8 * static_cast<double>(s.value_depth) * std::sqrt(group));
      check_close("dv", got.dv.values(), expected.dv, relative * 2 * std::sqrt(group) + relative * 4);
    }
  });
}

TEST_CASE(
    "attention kernels: NaN in a query stays in its row, in a key reaches all who read it, masked keys are not read") {
  for_each_kernel(cpu::attention_kernels, [](const std::string& isa, auto kernel) {
    CAPTURE(isa);
    const Shape4 s{1, 5, 6, 1, 1, 4, 3, false, 1};
    Values x = values_of(s, 7);
    x.mask.assign(6, 1);
    x.mask[2] = 0;
    x.q[4] = std::nanf("");                                  // query 1
    for (size_t c = 8; c < 12; ++c) x.k[c] = std::nanf("");  // key 2, masked
    for (size_t c = 6; c < 9; ++c) x.v[c] = HUGE_VALF;       // its values
    const KernelRun masked(s, x, kernel(), 0.5f);
    for (size_t i = 0; i < 15; ++i) CHECK(std::isnan(masked.y[i]) == (i / 3 == 1));
    x.mask[2] = 1;
    const KernelRun open(s, x, kernel(), 0.5f);
    for (size_t i = 0; i < 15; ++i) CHECK(std::isnan(open.y[i]));
  });
}

TEST_CASE("attention: same bits for any thread count, one head cut into parts included") {
  for (const Shape4& s : {Shape4{3, 150, 150, 4, 2, 24, 24, true, 3}, Shape4{1, 70, 2100, 1, 1, 16, 16, false, 1}}) {
    const Values x = values_of(s, 9);
    const float scale = 0.25f;
    const Result64 expected = attention64(s, x, 0.25);
    const auto all = same_for_any_thread_count("all results", [&] {
      Context context;
      F32 q({s.batch, s.queries, s.heads * s.depth}, x.q), k({s.batch, s.keys, s.key_heads * s.depth}, x.k);
      F32 v({s.batch, s.keys, s.key_heads * s.value_depth}, x.v);
      F32 dy({s.batch, s.queries, s.heads * s.value_depth}, x.dy);
      F32 y({s.batch, s.queries, s.heads * s.value_depth}), logs({s.batch, s.heads, s.queries});
      F32 dq({s.batch, s.queries, s.heads * s.depth}), dk({s.batch, s.keys, s.key_heads * s.depth});
      F32 dv({s.batch, s.keys, s.key_heads * s.value_depth});
      const Tensor mask(TERSOR_U8, {s.mask_rows, s.keys}, x.mask);
      const tersor_attention options{s.heads, s.key_heads, scale, s.causal, mask};
      REQUIRE(cpu::attention(&context, q, k, v, &options, y, logs) == TERSOR_OK);
      REQUIRE(cpu::attention_gradient(&context, q, k, v, &options, y, logs, dy, dq, dk, dv) == TERSOR_OK);
      auto values = y.values();
      for (const F32* t : {&dq, &dk, &dv}) {
        const auto more = t->values();
        values.insert(values.end(), more.begin(), more.end());
      }
      return values;
    });
    std::vector<double> reference(expected.y);
    for (const auto* part : {&expected.dq, &expected.dk, &expected.dv}) {
      reference.insert(reference.end(), part->begin(), part->end());
    }
    check_close("all results", all, reference, 4e-4);
  }
}

TEST_CASE("attention: nothing to read or nobody to read it, and cancelled when asked") {
  Context context;
  const tersor_attention options{1, 1, 1.0f, 0, nullptr};
  F32 q({2, 3, 4}, uniform(24, 1)), no_keys({2, 0, 4}), y({2, 3, 4}), logs({2, 1, 3}), dq({2, 3, 4});
  REQUIRE(cpu::attention(&context, q, no_keys, no_keys, &options, y, logs) == TERSOR_OK);
  for (const float v : y.values()) CHECK(v == 0.0f);
  REQUIRE(cpu::attention_gradient(&context, q, no_keys, no_keys, &options, y, logs, q, dq, no_keys, no_keys) ==
          TERSOR_OK);
  for (const float v : dq.values()) CHECK(v == 0.0f);

  F32 k({2, 3, 4}, uniform(24, 2)), nobody({2, 0, 4}), no_logs({2, 1, 0}), dk({2, 3, 4}), dv({2, 3, 4});
  REQUIRE(cpu::attention(&context, nobody, k, k, &options, nobody, no_logs) == TERSOR_OK);
  REQUIRE(cpu::attention_gradient(&context, nobody, k, k, &options, nobody, no_logs, nobody, nobody, dk, dv) ==
          TERSOR_OK);
  for (const float v : dk.values()) CHECK(v == 0.0f);

  context.flag = 1;
  CHECK(cpu::attention(&context, q, k, k, &options, y, logs) == TERSOR_CANCELLED);
  CHECK(cpu::attention_gradient(&context, q, k, k, &options, y, logs, q, dq, dk, dv) == TERSOR_CANCELLED);
}

}  // namespace tersor::test
