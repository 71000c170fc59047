// Codes that are numbers of a codebook's values.
#include "binding/operation.h"
#include "core/dtype.h"

namespace tersor::binding {
namespace {

constexpr DTypes kNumbers = set_of({TERSOR_U2, TERSOR_U3, TERSOR_U4});

// tersor_codebook by value, so that it can move into a job.
struct Codebook {
  tersor_tensor values, scales;
  int64_t group_size;

  tersor_codebook view() const { return {&values, &scales, group_size}; }
};

// Of a matrix w.
Codebook read_codebook(Arguments& in, const Operand& w) {
  const Operand values = in.input("values", kF32, 1);
  const Operand scales = in.input("scales", kF32, 2);
  const int64_t group_size = in.integer("groupSize", 1, kMaxSafeInteger), columns = w.dim(1);
  const int64_t groups = columns <= group_size ? 1 : (columns - 1) / group_size + 1;
  in.expect_shape(scales, {scales.dim(0) == 1 ? 1 : w.dim(0), groups}, {w});
  return {values.tensor(), scales.tensor(), group_size};
}

void expect_values(const Arguments& in, const Codebook& codebook, const Operand& codes) {
  const int64_t expected = int64_t{1} << bits_of(codes.tensor().dtype), got = codebook.values.shape[0];
  if (got == expected) return;
  in.fail(TERSOR_INVALID_SHAPE, "expected values of shape [" + std::to_string(expected) + "] for codes of " +
                                    name_of(codes.tensor().dtype) + ", got [" + std::to_string(got) + "]");
}

auto codebook_encode(Arguments& in) {
  const Operand x = in.input("x", kF32, 2);
  const Codebook codebook = read_codebook(in, x);
  const Operand codes = in.output("codes", kNumbers);
  in.expect_same_shape(codes, x);
  expect_values(in, codebook, codes);
  return [codebook, x = x.tensor(), codes = codes.tensor()](const tersor_backend& backend, tersor_context* context) {
    const tersor_codebook view = codebook.view();
    return backend.codebook_encode(context, &x, &view, &codes);
  };
}

auto codebook_decode(Arguments& in) {
  const Operand codes = in.input("codes", kNumbers, 2);
  const Codebook codebook = read_codebook(in, codes);
  expect_values(in, codebook, codes);
  const OptionalOperand ids = in.optional_input("ids", kI32, 1);
  const Operand y = in.output("y", kF32);
  in.expect_shape(y, {ids.present ? ids.operand.dim(0) : codes.dim(0), codes.dim(1)}, {codes});
  return [codebook, codes = codes.tensor(), ids = ids.tensor(), y = y.tensor()](const tersor_backend& backend,
                                                                                tersor_context* context) {
    const tersor_codebook view = codebook.view();
    return backend.codebook_decode(context, &codes, &view, ids.get(), &y);
  };
}

auto pack_codebook(Arguments& in) {
  const Operand codes = in.input("codes", kNumbers, 2);
  const Codebook codebook = read_codebook(in, codes);
  expect_values(in, codebook, codes);
  const Operand packed = in.output("packed", kU8);
  in.expect_shape(packed, {in.backend().quantized_bytes(codes.dim(0), codes.dim(1), bits_of(codes.tensor().dtype),
                                                        codebook.group_size, 0)});
  return [codebook, codes = codes.tensor(), packed = packed.tensor()](const tersor_backend& backend,
                                                                      tersor_context* context) {
    const tersor_codebook view = codebook.view();
    return backend.pack_codebook(context, &codes, &view, &packed);
  };
}

constexpr Operation kOperations[] = {
    operation<codebook_encode>("codebookEncode", 5),
    operation<codebook_decode>("codebookDecode", 6),
    operation<pack_codebook>("packCodebook", 5),
};

}  // namespace

std::span<const Operation> codebook_operations() { return kOperations; }

}  // namespace tersor::binding
