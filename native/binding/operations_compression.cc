// Quantization and pruning.
#include "binding/operation.h"
#include "core/dtype.h"

namespace tersor::binding {
namespace {

constexpr DTypes kCodes = kI8 | kU8 | kPacked;

// Codes beyond this are no longer exact in f32.
constexpr int64_t kMaxCode = int64_t{1} << 24;

// tersor_affine by value, so that it can move into a job.
struct Affine {
  tersor_tensor scales;
  OptionalTensor zero_points, biases;
  int32_t code_min, code_max;
  int64_t group_size;

  tersor_affine view() const { return {&scales, zero_points.get(), biases.get(), code_min, code_max, group_size}; }
};

int64_t groups_of(int64_t columns, int64_t group_size) {
  return columns <= group_size ? 1 : (columns - 1) / group_size + 1;
}

// Parameters are [1, groups] or [rows of x, groups].
void expect_parameters(const Arguments& in, const Operand& parameters, const Operand& x, int64_t group_size) {
  const int64_t rows = parameters.dim(0) == 1 ? 1 : x.dim(0);
  in.expect_shape(parameters, {rows, groups_of(x.dim(1), group_size)}, {x});
}

void expect_elements(const Arguments& in, const Operand& x) {
  if (x.dim(0) > 0 && x.dim(1) > 0) return;
  in.fail(TERSOR_INVALID_SHAPE,
          "expected x to have elements, got [" + std::to_string(x.dim(0)) + ", " + std::to_string(x.dim(1)) + "]");
}

// Scales and zero points are read, or updated.
Affine read_affine(Arguments& in, const Operand& x, Access access = Access::read) {
  const bool written = access == Access::update;
  const Operand scales = written ? in.update("scales", kF32, 2) : in.input("scales", kF32, 2);
  const OptionalOperand zero_points =
      written ? in.optional_update("zeroPoints", kI32) : in.optional_input("zeroPoints", kI32);
  const OptionalOperand biases = in.optional_input("biases", kF32);
  if (zero_points.present && biases.present) {
    in.fail(TERSOR_INVALID_ARGUMENT, "expected zeroPoints or biases, got both");
  }
  const int64_t code_min = in.integer("codeMin", -kMaxCode, kMaxCode);
  const int64_t code_max = in.integer("codeMax", -kMaxCode, kMaxCode);
  if (code_min >= code_max) {
    in.fail(TERSOR_OUT_OF_RANGE,
            "expected codeMin < codeMax, got " + std::to_string(code_min) + " and " + std::to_string(code_max));
  }
  const int64_t group_size = in.integer("groupSize", 1, kMaxSafeInteger);
  expect_parameters(in, scales, x, group_size);
  in.expect_same_shape(zero_points, scales);
  in.expect_same_shape(biases, scales);
  return {scales.tensor(),
          zero_points.tensor(),
          biases.tensor(),
          static_cast<int32_t>(code_min),
          static_cast<int32_t>(code_max),
          group_size};
}

void expect_codes_fit(const Arguments& in, const Affine& affine, const Operand& codes) {
  const tersor_dtype dtype = codes.tensor().dtype;
  const int32_t low = dtype == TERSOR_I8 ? -128 : 0;
  const int32_t high = dtype == TERSOR_I8 ? 127 : (1 << bits_of(dtype)) - 1;
  if (affine.code_min >= low && affine.code_max <= high) return;
  in.fail(TERSOR_OUT_OF_RANGE, std::string("expected codes in [") + std::to_string(low) + ", " + std::to_string(high) +
                                   "] to fit " + name_of(dtype) + ", got [" + std::to_string(affine.code_min) + ", " +
                                   std::to_string(affine.code_max) + "]");
}

auto quantize(Arguments& in) {
  const Operand x = in.input("x", kF32, 2);
  const Affine affine = read_affine(in, x);
  const Operand codes = in.output("codes", kCodes);
  in.expect_same_shape(codes, x);
  expect_codes_fit(in, affine, codes);
  return [affine, x = x.tensor(), codes = codes.tensor()](const tersor_backend& backend, tersor_context* context) {
    const tersor_affine view = affine.view();
    return backend.quantize(context, &x, &view, &codes);
  };
}

auto dequantize(Arguments& in) {
  const Operand codes = in.input("codes", kCodes, 2);
  const Affine affine = read_affine(in, codes);
  expect_codes_fit(in, affine, codes);
  const OptionalOperand ids = in.optional_input("ids", kI32, 1);
  const Operand y = in.output("y", kF32);
  in.expect_shape(y, {ids.present ? ids.operand.dim(0) : codes.dim(0), codes.dim(1)}, {codes});
  return [affine, codes = codes.tensor(), ids = ids.tensor(), y = y.tensor()](const tersor_backend& backend,
                                                                              tersor_context* context) {
    const tersor_affine view = affine.view();
    return backend.dequantize(context, &codes, &view, ids.get(), &y);
  };
}

auto pack_quantized(Arguments& in) {
  const Operand codes = in.input("codes", kCodes, 2);
  const Affine affine = read_affine(in, codes);
  expect_codes_fit(in, affine, codes);
  const Operand packed = in.output("packed", kU8);
  in.expect_shape(packed, {in.backend().quantized_bytes(codes.dim(0), codes.dim(1), bits_of(codes.tensor().dtype),
                                                        affine.group_size, affine.biases.present ? 1 : 0)});
  return [affine, codes = codes.tensor(), packed = packed.tensor()](const tersor_backend& backend,
                                                                    tersor_context* context) {
    const tersor_affine view = affine.view();
    return backend.pack_quantized(context, &codes, &view, &packed);
  };
}

auto fuse_rows(Arguments& in) {
  const Operand codes = in.input("codes", kCodes, 2);
  const Affine affine = read_affine(in, codes);
  expect_codes_fit(in, affine, codes);
  const int32_t code_bits = bits_of(codes.tensor().dtype);
  const auto bits = static_cast<int32_t>(in.integer("bits", 2, 8));
  if ((bits != 2 && bits != 4 && bits != 8) || bits < code_bits) {
    in.fail(TERSOR_OUT_OF_RANGE, "expected 2, 4 or 8 bits, enough for codes of " + std::to_string(code_bits) +
                                     ", got " + std::to_string(bits));
  }
  const Operand rows = in.output("rows", kU8);
  if (codes.dim(1) == 0) in.fail(TERSOR_INVALID_SHAPE, "expected at least one column, got codes of [rows, 0]");
  in.expect_shape(rows, {codes.dim(0), (codes.dim(1) * bits + 7) / 8 + 8}, {codes});
  return [=, codes = codes.tensor(), rows = rows.tensor()](const tersor_backend& backend, tersor_context* context) {
    const tersor_affine view = affine.view();
    return backend.fuse_rows(context, &codes, &view, bits, &rows);
  };
}

auto fake_quantize(Arguments& in) {
  const Operand x = in.input("x", kF32, 2);
  const Affine affine = read_affine(in, x);
  const Operand y = in.output("y", kF32, {x});
  in.expect_same_shape(y, x);
  return [affine, x = x.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    const tersor_affine view = affine.view();
    return backend.fake_quantize(context, &x, &view, &y);
  };
}

auto fake_quantize_gradient(Arguments& in) {
  const Operand x = in.input("x", kF32, 2);
  const Affine affine = read_affine(in, x);
  const Operand dy = in.input("dy", kF32);
  const Operand dx = in.output("dx", kF32, {dy});
  in.expect_same_shape(dy, x);
  in.expect_same_shape(dx, x);
  return [affine, x = x.tensor(), dy = dy.tensor(), dx = dx.tensor()](const tersor_backend& backend,
                                                                      tersor_context* context) {
    const tersor_affine view = affine.view();
    return backend.fake_quantize_gradient(context, &x, &view, &dy, &dx);
  };
}

auto gptq(Arguments& in) {
  const Operand w = in.input("w", kF32, 2);
  const Operand hessian = in.input("hessian", kF32);
  in.expect_shape(hessian, {w.dim(1), w.dim(1)}, {w});
  const float damping = in.non_negative("damping");
  const int32_t activation_order = in.boolean("activationOrder") ? 1 : 0;
  const auto scales_from = static_cast<tersor_code_scales>(in.integer("scalesFrom", 0, 2));
  // Written where they are to be found.
  const Affine affine = read_affine(in, w, Access::update);
  const Operand codes = in.output("codes", kCodes);
  in.expect_same_shape(codes, w);
  expect_codes_fit(in, affine, codes);
  return [affine, options = tersor_gptq_options{damping, activation_order, scales_from}, w = w.tensor(),
          hessian = hessian.tensor(), codes = codes.tensor()](const tersor_backend& backend, tersor_context* context) {
    const tersor_affine view = affine.view();
    return backend.gptq(context, &w, &hessian, &options, &view, &codes);
  };
}

// What both forms of sparse_gpt begin with.
struct SparseGpt {
  Operand w, hessian;
  tersor_sparse_gpt_options options;
};

SparseGpt read_sparse_gpt(Arguments& in) {
  const Operand w = in.input("w", kF32, 2);
  const Operand hessian = in.input("hessian", kF32);
  in.expect_shape(hessian, {w.dim(1), w.dim(1)}, {w});
  const float damping = in.non_negative("damping");
  const float sparsity = in.non_negative("sparsity");
  const auto keep = static_cast<int32_t>(in.integer("keep", 0, INT32_MAX));
  const auto of = static_cast<int32_t>(in.integer("of", 0, INT32_MAX));
  return {w, hessian, {damping, sparsity, keep, of}};
}

auto sparse_gpt(Arguments& in) {
  const SparseGpt p = read_sparse_gpt(in);
  const Operand y = in.output("y", kF32);
  in.expect_same_shape(y, p.w);
  return [options = p.options, w = p.w.tensor(), hessian = p.hessian.tensor(), y = y.tensor()](
             const tersor_backend& backend, tersor_context* context) {
    return backend.sparse_gpt(context, &w, &hessian, &options, nullptr, &y);
  };
}

auto sparse_gpt_quantized(Arguments& in) {
  const SparseGpt p = read_sparse_gpt(in);
  const Affine affine = read_affine(in, p.w);
  const Operand y = in.output("y", kF32);
  in.expect_same_shape(y, p.w);
  return [affine, options = p.options, w = p.w.tensor(), hessian = p.hessian.tensor(), y = y.tensor()](
             const tersor_backend& backend, tersor_context* context) {
    const tersor_affine view = affine.view();
    return backend.sparse_gpt(context, &w, &hessian, &options, &view, &y);
  };
}

auto lsq_gradient(Arguments& in) {
  const Operand x = in.input("x", kF32, 2);
  const Affine affine = read_affine(in, x);
  const Operand dy = in.input("dy", kF32);
  in.expect_same_shape(dy, x);
  const Operand dscales = in.output("dscales", kF32);
  in.expect_shape(dscales, {affine.scales.shape[0], affine.scales.shape[1]});
  return [affine, x = x.tensor(), dy = dy.tensor(), dscales = dscales.tensor()](const tersor_backend& backend,
                                                                                tersor_context* context) {
    const tersor_affine view = affine.view();
    return backend.lsq_gradient(context, &x, &view, &dy, &dscales);
  };
}

auto kmeans(Arguments& in) {
  const Operand x = in.input("x", kF32, 2);
  const OptionalOperand weights = in.optional_input("weights", kF32);
  in.expect_shape(weights, {x.dim(0)}, {x});
  const uint64_t seed = in.unsigned64("seed");
  const auto iterations = static_cast<int32_t>(in.integer("iterations", 0, INT32_MAX));
  const Operand centroids = in.output("centroids", kF32);
  in.expect_shape(centroids, {kAny, x.dim(1)}, {x});
  const Operand assignments = in.output("assignments", kI32);
  in.expect_shape(assignments, {x.dim(0)}, {x});
  return [options = tersor_kmeans_options{seed, iterations}, x = x.tensor(), weights = weights.tensor(),
          centroids = centroids.tensor(),
          assignments = assignments.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.kmeans(context, &x, weights.get(), &options, &centroids, &assignments);
  };
}

auto clip_range(Arguments& in) {
  const Operand x = in.input("x", kF32, 2);
  expect_elements(in, x);
  const int64_t group_size = in.integer("groupSize", 1, kMaxSafeInteger);
  const auto levels = static_cast<int32_t>(in.integer("levels", 1, 255));
  const int32_t symmetric = in.boolean("symmetric") ? 1 : 0;
  const Operand minimum = in.output("minimum", kF32);
  in.expect_shape(minimum, {kAny, kAny});
  const Operand maximum = in.output("maximum", kF32);
  expect_parameters(in, minimum, x, group_size);
  in.expect_same_shape(maximum, minimum);
  return [=, x = x.tensor(), minimum = minimum.tensor(), maximum = maximum.tensor()](const tersor_backend& backend,
                                                                                     tersor_context* context) {
    return backend.clip_range(context, &x, group_size, levels, symmetric, &minimum, &maximum);
  };
}

auto min_max(Arguments& in) {
  const Operand x = in.input("x", kF32, 2);
  expect_elements(in, x);
  const int64_t group_size = in.integer("groupSize", 1, kMaxSafeInteger);
  const Operand minimum = in.output("minimum", kF32);
  in.expect_shape(minimum, {kAny, kAny});
  const Operand maximum = in.output("maximum", kF32);
  expect_parameters(in, minimum, x, group_size);
  in.expect_same_shape(maximum, minimum);
  return [group_size, x = x.tensor(), minimum = minimum.tensor(), maximum = maximum.tensor()](
             const tersor_backend& backend, tersor_context* context) {
    return backend.min_max(context, &x, group_size, &minimum, &maximum);
  };
}

struct HistogramOperands {
  Operand counts, grid, range;

  tersor_histogram view() const { return {counts.tensor(), grid.tensor(), range.tensor()}; }
};

HistogramOperands read_histogram(Arguments& in, Access access) {
  const bool written = access == Access::update;
  const auto read = [&](const char* name, DTypes dtypes, int64_t size) {
    const Operand operand = written ? in.update(name, dtypes, 1) : in.input(name, dtypes, 1);
    in.expect_shape(operand, {size});
    return operand;
  };
  const Operand counts = read("counts", kI64, TERSOR_HISTOGRAM_BINS);
  const Operand grid = read("grid", kI32, 2);
  return {counts, grid, read("range", kF32, 2)};
}

Operand read_clipped(Arguments& in) {
  const Operand clipped = in.output("clipped", kF32);
  in.expect_shape(clipped, {2});
  return clipped;
}

auto histogram_add(Arguments& in) {
  const Operand x = in.input("x", kF32);
  const HistogramOperands histogram = read_histogram(in, Access::update);
  return [x = x.tensor(), histogram = histogram.view()](const tersor_backend& backend, tersor_context* context) {
    return backend.histogram_add(context, &x, &histogram);
  };
}

auto histogram_clip(Arguments& in) {
  const HistogramOperands histogram = read_histogram(in, Access::read);
  const auto levels = static_cast<int32_t>(in.integer("levels", 1, 255));
  const Operand clipped = read_clipped(in);
  return [levels, histogram = histogram.view(), clipped = clipped.tensor()](const tersor_backend& backend,
                                                                            tersor_context* context) {
    return backend.histogram_clip(context, &histogram, levels, &clipped);
  };
}

auto histogram_percentile(Arguments& in) {
  const HistogramOperands histogram = read_histogram(in, Access::read);
  const double percentile = in.any_number("percentile");
  const Operand clipped = read_clipped(in);
  return [percentile, histogram = histogram.view(), clipped = clipped.tensor()](const tersor_backend& backend,
                                                                                tersor_context* context) {
    return backend.histogram_percentile(context, &histogram, percentile, &clipped);
  };
}

auto magnitude_threshold(Arguments& in) {
  const Operand x = in.input("x", kF32);
  int64_t size = 1;
  for (int i = 0; i < x.rank(); ++i) size *= x.dim(i);
  const int64_t count = in.integer("count", 1, size);
  const Operand threshold = in.output("threshold", kF32);
  in.expect_shape(threshold, {1});
  return
      [count, x = x.tensor(), threshold = threshold.tensor()](const tersor_backend& backend, tersor_context* context) {
        return backend.magnitude_threshold(context, &x, count, &threshold);
      };
}

auto magnitude_mask(Arguments& in) {
  const Operand x = in.input("x", kF32);
  const float threshold = in.finite("threshold");
  const Operand mask = in.output("mask", kF32);
  in.expect_same_shape(mask, x);
  return [threshold, x = x.tensor(), mask = mask.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.magnitude_mask(context, &x, threshold, &mask);
  };
}

auto nm_mask(Arguments& in) {
  const Operand x = in.input("x", kF32, 2);
  const auto keep = static_cast<int32_t>(in.integer("keep", 1, 16));
  const auto group = static_cast<int32_t>(in.integer("group", keep, 16));
  const Operand mask = in.output("mask", kF32);
  in.expect_same_shape(mask, x);
  return [keep, group, x = x.tensor(), mask = mask.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.nm_mask(context, &x, keep, group, &mask);
  };
}

auto block_mask(Arguments& in) {
  const Operand x = in.input("x", kF32, 2);
  const auto block_rows = static_cast<int32_t>(in.integer("blockRows", 1, INT32_MAX));
  const auto block_cols = static_cast<int32_t>(in.integer("blockCols", 1, INT32_MAX));
  const int64_t down = (x.dim(0) + block_rows - 1) / block_rows, across = (x.dim(1) + block_cols - 1) / block_cols;
  const int64_t keep = in.integer("keep", 0, down * across);
  const Operand mask = in.output("mask", kF32);
  in.expect_same_shape(mask, x);
  return [=, x = x.tensor(), mask = mask.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.block_mask(context, &x, block_rows, block_cols, keep, &mask);
  };
}

auto pack_nm(Arguments& in) {
  const Operand w = in.input("w", kF32, 2);
  const auto keep = static_cast<int32_t>(in.integer("keep", 1, 16));
  const auto group = static_cast<int32_t>(in.integer("group", keep, 16));
  const Operand packed = in.output("packed", kU8);
  in.expect_shape(packed, {in.backend().nm_bytes(w.dim(0), w.dim(1), keep, group)});
  return
      [keep, group, w = w.tensor(), packed = packed.tensor()](const tersor_backend& backend, tersor_context* context) {
        return backend.pack_nm(context, &w, keep, group, &packed);
      };
}

auto pack_nm_int8(Arguments& in) {
  const Operand w = in.input("w", kI8, 2);
  const auto keep = static_cast<int32_t>(in.integer("keep", 1, 16));
  const auto group = static_cast<int32_t>(in.integer("group", keep, 16));
  const int32_t bits = in.choice("bits", 4, 8);
  const Operand packed = in.output("packed", kU8);
  in.expect_shape(packed, {in.backend().nm_int8_bytes(w.dim(0), w.dim(1), keep, group, bits)});
  return [=, w = w.tensor(), packed = packed.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.pack_nm_int8(context, &w, keep, group, bits, &packed);
  };
}

constexpr Operation kOperations[] = {
    operation<quantize>("quantize", 8),
    operation<dequantize>("dequantize", 9),
    operation<pack_quantized>("packQuantized", 8),
    operation<fuse_rows>("fuseRows", 9),
    operation<fake_quantize>("fakeQuantize", 8),
    operation<fake_quantize_gradient>("fakeQuantizeGradient", 9),
    operation<gptq>("gptq", 12),
    operation<sparse_gpt>("sparseGpt", 7),
    operation<sparse_gpt_quantized>("sparseGptQuantized", 13),
    operation<lsq_gradient>("lsqGradient", 9),
    operation<kmeans>("kmeans", 6),
    operation<clip_range>("clipRange", 6),
    operation<min_max>("minMax", 4),
    operation<histogram_add>("histogramAdd", 4),
    operation<histogram_clip>("histogramClip", 5),
    operation<histogram_percentile>("histogramPercentile", 5),
    operation<magnitude_threshold>("magnitudeThreshold", 3),
    operation<magnitude_mask>("magnitudeMask", 3),
    operation<nm_mask>("nmMask", 4),
    operation<block_mask>("blockMask", 5),
    operation<pack_nm>("packNm", 4),
    operation<pack_nm_int8>("packNmInt8", 5),
};

}  // namespace

std::span<const Operation> compression_operations() { return kOperations; }

}  // namespace tersor::binding
