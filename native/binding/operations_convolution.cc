// Convolution, pooling and batch norm of images, and their gradients.
#include "binding/operation.h"

namespace tersor::binding {
namespace {

// Pixels that a kernel may lie apart or beyond the edge: far above use, far below overflow.
constexpr int64_t kMostPixels = 1 << 20;

struct ConvolutionArguments {
  Operand x, w;
  tersor_convolution options;
};

void read_pair(Arguments& in, const char* down, const char* across, int64_t least, int32_t (&pair)[2]) {
  pair[0] = static_cast<int32_t>(in.integer(down, least, kMostPixels));
  pair[1] = static_cast<int32_t>(in.integer(across, least, kMostPixels));
}

ConvolutionArguments convolution_arguments(Arguments& in) {
  const Operand x = in.input("x", kF32, 4), w = in.input("w", kF32, 4);
  tersor_convolution options{};
  read_pair(in, "strideDown", "strideAcross", 1, options.stride);
  read_pair(in, "paddingDown", "paddingAcross", 0, options.padding);
  read_pair(in, "dilationDown", "dilationAcross", 1, options.dilation);
  options.groups = in.integer("groups", 1, kMostPixels);
  if (x.dim(1) % options.groups != 0 || w.dim(0) % options.groups != 0) {
    in.fail(TERSOR_INVALID_SHAPE, "expected channels of x and rows of w to be multiples of groups, got " +
                                      std::to_string(x.dim(1)) + ", " + std::to_string(w.dim(0)) + " and " +
                                      std::to_string(options.groups));
  }
  in.expect_shape(w, {kAny, x.dim(1) / options.groups, kAny, kAny}, {x});
  return {x, w, options};
}

// Outputs along one axis.
int64_t positions(const Arguments& in, const ConvolutionArguments& a, int axis) {
  const int64_t size = a.x.dim(2 + axis), kernel = a.w.dim(2 + axis);
  const int64_t padded = size + 2 * a.options.padding[axis];
  if (kernel == 0 || kernel - 1 > (padded - 1) / a.options.dilation[axis] || padded == 0) {
    in.fail(TERSOR_INVALID_SHAPE, "expected a kernel of 1 or more that fits into the padded image, got " +
                                      std::to_string(kernel) + " times dilation " +
                                      std::to_string(a.options.dilation[axis]) + " in " + std::to_string(padded));
  }
  return (padded - a.options.dilation[axis] * (kernel - 1) - 1) / a.options.stride[axis] + 1;
}

auto conv2d(Arguments& in) {
  const ConvolutionArguments a = convolution_arguments(in);
  const OptionalOperand bias = in.optional_input("bias", kF32);
  in.expect_shape(bias, {a.w.dim(0)}, {a.w});
  const tersor_activation activation = in.activation();
  const Operand y = in.output("y", kF32);
  in.expect_shape(y, {a.x.dim(0), a.w.dim(0), positions(in, a, 0), positions(in, a, 1)}, {a.x, a.w});
  return [=, options = a.options, x = a.x.tensor(), w = a.w.tensor(), bias = bias.tensor(), y = y.tensor()](
             const tersor_backend& backend, tersor_context* context) {
    return backend.conv2d(context, &x, &w, bias.get(), &options, activation, &y);
  };
}

auto conv2d_gradient(Arguments& in) {
  const ConvolutionArguments a = convolution_arguments(in);
  const Operand dy = in.input("dy", kF32);
  in.expect_shape(dy, {a.x.dim(0), a.w.dim(0), positions(in, a, 0), positions(in, a, 1)}, {a.x, a.w});
  const OptionalOperand dx = in.optional_output("dx", kF32), dw = in.optional_output("dw", kF32);
  const OptionalOperand dbias = in.optional_output("dbias", kF32);
  in.expect_same_shape(dx, a.x);
  in.expect_same_shape(dw, a.w);
  in.expect_shape(dbias, {a.w.dim(0)}, {a.w});
  return [options = a.options, x = a.x.tensor(), w = a.w.tensor(), dy = dy.tensor(), dx = dx.tensor(), dw = dw.tensor(),
          dbias = dbias.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.conv2d_gradient(context, &x, &w, &options, &dy, dx.get(), dw.get(), dbias.get());
  };
}

struct PoolArguments {
  Operand x;
  tersor_pooling options;
};

PoolArguments pool_arguments(Arguments& in) {
  const Operand x = in.input("x", kF32, 4);
  tersor_pooling options{};
  options.mode = static_cast<tersor_pool_mode>(in.integer("mode", 0, 1));
  read_pair(in, "kernelDown", "kernelAcross", 1, options.kernel);
  read_pair(in, "strideDown", "strideAcross", 1, options.stride);
  read_pair(in, "paddingDown", "paddingAcross", 0, options.padding);
  options.count_padding = in.boolean("countPadding") ? 1 : 0;
  return {x, options};
}

// Windows along one axis.
int64_t windows(const Arguments& in, const PoolArguments& a, int axis) {
  const int64_t size = a.x.dim(2 + axis), kernel = a.options.kernel[axis], padding = a.options.padding[axis];
  if (padding >= kernel || size == 0 || kernel > size + 2 * padding) {
    in.fail(TERSOR_INVALID_SHAPE, "expected a kernel larger than the padding that fits into the padded image, got " +
                                      std::to_string(kernel) + " with padding " + std::to_string(padding) + " in " +
                                      std::to_string(size));
  }
  return (size + 2 * padding - kernel) / a.options.stride[axis] + 1;
}

void expect_pooled(const Arguments& in, const PoolArguments& a, const Operand& y) {
  in.expect_shape(y, {a.x.dim(0), a.x.dim(1), windows(in, a, 0), windows(in, a, 1)}, {a.x});
}

auto pool2d(Arguments& in) {
  const PoolArguments a = pool_arguments(in);
  const Operand y = in.output("y", kF32);
  expect_pooled(in, a, y);
  return
      [options = a.options, x = a.x.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
        return backend.pool2d(context, &x, &options, &y);
      };
}

auto pool2d_gradient(Arguments& in) {
  const PoolArguments a = pool_arguments(in);
  const Operand dy = in.input("dy", kF32);
  expect_pooled(in, a, dy);
  const Operand dx = in.output("dx", kF32);
  in.expect_same_shape(dx, a.x);
  return [options = a.options, x = a.x.tensor(), dy = dy.tensor(), dx = dx.tensor()](const tersor_backend& backend,
                                                                                     tersor_context* context) {
    return backend.pool2d_gradient(context, &x, &options, &dy, &dx);
  };
}

auto channel_moments(Arguments& in) {
  const Operand x = in.input("x", kF32, 4);
  if (x.dim(0) * x.dim(2) * x.dim(3) == 0) {
    in.fail(TERSOR_INVALID_SHAPE, "expected at least one image of at least one pixel, got " + std::to_string(x.dim(0)) +
                                      " of " + std::to_string(x.dim(2)) + " x " + std::to_string(x.dim(3)));
  }
  const Operand mean = in.output("mean", kF32), variance = in.output("variance", kF32);
  in.expect_shape(mean, {x.dim(1)}, {x});
  in.expect_shape(variance, {x.dim(1)}, {x});
  return [x = x.tensor(), mean = mean.tensor(), variance = variance.tensor()](const tersor_backend& backend,
                                                                              tersor_context* context) {
    return backend.channel_moments(context, &x, &mean, &variance);
  };
}

// tersor_batch_norm by value, so that it can move into a job.
struct BatchNorm {
  tersor_tensor mean, variance;
  OptionalTensor weight, bias;
  float epsilon;

  tersor_batch_norm view() const { return {&mean, &variance, weight.get(), bias.get(), epsilon}; }
};

BatchNorm read_batch_norm(Arguments& in, const Operand& x) {
  const Operand mean = in.input("mean", kF32), variance = in.input("variance", kF32);
  const OptionalOperand weight = in.optional_input("weight", kF32), bias = in.optional_input("bias", kF32);
  in.expect_shape(mean, {x.dim(1)}, {x});
  in.expect_shape(variance, {x.dim(1)}, {x});
  in.expect_shape(weight, {x.dim(1)}, {x});
  in.expect_shape(bias, {x.dim(1)}, {x});
  return {mean.tensor(), variance.tensor(), weight.tensor(), bias.tensor(), in.non_negative("epsilon")};
}

auto batch_norm2d(Arguments& in) {
  const Operand x = in.input("x", kF32, 4);
  const BatchNorm norm = read_batch_norm(in, x);
  const Operand y = in.output("y", kF32);
  in.expect_same_shape(y, x);
  return [norm, x = x.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    const tersor_batch_norm view = norm.view();
    return backend.batch_norm2d(context, &x, &view, &y);
  };
}

auto batch_norm2d_gradient(Arguments& in) {
  const Operand x = in.input("x", kF32, 4);
  const BatchNorm norm = read_batch_norm(in, x);
  const bool of_batch = in.boolean("ofBatch");
  const Operand dy = in.input("dy", kF32);
  in.expect_same_shape(dy, x);
  const OptionalOperand dx = in.optional_output("dx", kF32), dweight = in.optional_output("dweight", kF32);
  const OptionalOperand dbias = in.optional_output("dbias", kF32);
  in.expect_same_shape(dx, x);
  in.expect_shape(dweight, {x.dim(1)}, {x});
  in.expect_shape(dbias, {x.dim(1)}, {x});
  return [norm, of_batch, x = x.tensor(), dy = dy.tensor(), dx = dx.tensor(), dweight = dweight.tensor(),
          dbias = dbias.tensor()](const tersor_backend& backend, tersor_context* context) {
    const tersor_batch_norm view = norm.view();
    return backend.batch_norm2d_gradient(context, &x, &view, of_batch, &dy, dx.get(), dweight.get(), dbias.get());
  };
}

constexpr Operation kOperations[] = {
    operation<conv2d>("conv2d", 12),
    operation<conv2d_gradient>("conv2dGradient", 13),
    operation<pool2d>("pool2d", 10),
    operation<pool2d_gradient>("pool2dGradient", 11),
    operation<channel_moments>("channelMoments", 3),
    operation<batch_norm2d>("batchNorm2d", 7),
    operation<batch_norm2d_gradient>("batchNorm2dGradient", 11),
};

}  // namespace

std::span<const Operation> convolution_operations() { return kOperations; }

}  // namespace tersor::binding
