// Singular value decompositions.
#include <algorithm>

#include "binding/operation.h"

namespace tersor::binding {
namespace {

auto svd(Arguments& in) {
  const Operand a = in.input("a", kF32, 2);
  const int64_t m = a.dim(0), n = a.dim(1), k = std::min(m, n);
  const Operand u = in.output("u", kF32);
  const Operand s = in.output("s", kF32);
  const Operand vt = in.output("vt", kF32);
  in.expect_shape(u, {m, k}, {a});
  in.expect_shape(s, {k}, {a});
  in.expect_shape(vt, {k, n}, {a});
  return [a = a.tensor(), u = u.tensor(), s = s.tensor(), vt = vt.tensor()](
             const tersor_backend& backend, tersor_context* context) { return backend.svd(context, &a, &u, &s, &vt); };
}

auto svd_randomized(Arguments& in) {
  const Operand a = in.input("a", kF32, 2);
  const int64_t m = a.dim(0), n = a.dim(1);
  const uint64_t seed = in.unsigned64("seed");
  const auto oversampling = static_cast<int32_t>(in.integer("oversampling", 0, INT32_MAX));
  const auto power = static_cast<int32_t>(in.integer("power", 1, INT32_MAX));
  const Operand u = in.output("u", kF32);
  const Operand s = in.output("s", kF32);
  const Operand vt = in.output("vt", kF32);
  in.expect_shape(s, {kAny}, {a});
  const int64_t k = s.dim(0);
  if (k > std::min(m, n)) {
    in.fail(TERSOR_INVALID_SHAPE,
            "expected a rank of at most " + std::to_string(std::min(m, n)) + ", got " + std::to_string(k));
  }
  in.expect_shape(u, {m, k}, {a, s});
  in.expect_shape(vt, {k, n}, {a, s});
  return [options = tersor_svd_randomized_options{seed, oversampling, power}, a = a.tensor(), u = u.tensor(),
          s = s.tensor(), vt = vt.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.svd_randomized(context, &a, &options, &u, &s, &vt);
  };
}

auto svd_batched(Arguments& in) {
  const Operand a = in.input("a", kF32, 3);
  const int64_t count = a.dim(0), m = a.dim(1), n = a.dim(2), k = std::min(m, n);
  constexpr int64_t kLimit = TERSOR_SVD_BATCHED_LIMIT;
  if (m > kLimit || n > kLimit) {
    in.fail(TERSOR_INVALID_SHAPE, "expected matrices of at most " + std::to_string(kLimit) + " rows and columns, got " +
                                      std::to_string(m) + " x " + std::to_string(n));
  }
  const Operand u = in.output("u", kF32);
  const Operand s = in.output("s", kF32);
  const Operand vt = in.output("vt", kF32);
  in.expect_shape(u, {count, m, k}, {a});
  in.expect_shape(s, {count, k}, {a});
  in.expect_shape(vt, {count, k, n}, {a});
  return [a = a.tensor(), u = u.tensor(), s = s.tensor(), vt = vt.tensor()](const tersor_backend& backend,
                                                                            tersor_context* context) {
    return backend.svd_batched(context, &a, &u, &s, &vt);
  };
}

constexpr Operation kOperations[] = {
    operation<svd>("svd", 4),
    operation<svd_batched>("svdBatched", 4),
    operation<svd_randomized>("svdRandomized", 7),
};

}  // namespace

std::span<const Operation> decomposition_operations() { return kOperations; }

}  // namespace tersor::binding
