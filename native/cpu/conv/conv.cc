#include "cpu/conv/conv.h"

#include <algorithm>

#include "cpu/aligned.h"
#include "cpu/nn/activate.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/reduction.h"
#include "cpu/scratch.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<ConvKernel> conv_kernels("conv2d", {
#if TERSOR_X86
  {"conv_avx512", Isa::avx512, conv_avx512}, {"conv_avx2", Isa::avx2, conv_avx2},
#endif
      {"conv_scalar", Isa::scalar, conv_scalar},
});

namespace {

// Multiply-adds per chunk at least, where blocks of positions are small: some 20 us.
constexpr int64_t kProductsPerChunk = int64_t{1} << 20;
// Chunks of the gradient of the weights up to which images are cut into parts, each with sums of its own.
constexpr int64_t kMostParts = 16;

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

Convolution convolution_of(const tersor_tensor* x, const tersor_tensor* w, const tersor_convolution* o,
                           const tersor_tensor* y) {
  return {x->shape[0],
          x->shape[1],
          x->shape[2],
          x->shape[3],
          y->shape[1],
          y->shape[2],
          y->shape[3],
          w->shape[2],
          w->shape[3],
          o->groups,
          {o->stride[0], o->stride[1]},
          {o->padding[0], o->padding[1]},
          {o->dilation[0], o->dilation[1]}};
}

// body(i, scratch) for i in [0, count), in chunks of `grain`.
template <typename Body>
tersor_status for_blocks(tersor_context* context, const Convolution& c, int64_t count, int64_t grain, Body&& body) {
  const auto run = [&](int64_t begin, int64_t end) {
    void* memory = nullptr;
    tersor_context own{};
    if (scratch(&own, static_cast<size_t>(conv_scratch(c)) * sizeof(float), &memory) != TERSOR_OK) return false;
    for (int64_t i = begin; i < end; ++i) body(i, static_cast<float*>(memory));
    return true;
  };
  return for_chunks_with_memory(context, count, grain, run, [&] {
    return fail(context, TERSOR_OUT_OF_MEMORY, "expected memory for columns, got none, at conv2d");
  });
}

// Rows of the columns that a chunk of the gradients takes: those of whole channels, so that no two chunks write to one,
// unless one channel has more than a block holds.
int64_t rows_of_chunk(const Convolution& c) {
  const int64_t area = c.kernel_height * c.kernel_width;
  return std::max<int64_t>(1, area >= kConvDepth ? area : std::min(c.depth(), kConvDepth / area * area));
}

// body(k_begin, k_count) for the blocks of rows [begin, end).
template <typename Body>
void for_row_blocks(int64_t begin, int64_t end, Body&& body) {
  for (int64_t k = begin; k < end; k += kConvDepth) body(k, std::min(kConvDepth, end - k));
}

tersor_status input_gradient(const ConvKernels& kernel, tersor_context* context, const Convolution& c, const float* w,
                             const float* dy, float* dx) {
  const int64_t area = c.kernel_height * c.kernel_width, plane = c.height * c.width;
  const int64_t y_floats = c.group_outputs() * c.positions(), x_floats = c.group_channels() * plane;
  const int64_t rows = rows_of_chunk(c), chunks = divide_up(c.depth(), rows);
  return for_blocks(context, c, c.images * c.groups * chunks, 1, [&](int64_t i, float* memory) {
    const int64_t at = i / chunks, begin = i % chunks * rows, end = std::min(c.depth(), begin + rows);
    float* const to = dx + at * x_floats;
    std::fill(to + begin / area * plane, to + end / area * plane, 0.0f);
    const float* const weights = w + at % c.groups * c.group_outputs() * c.depth();
    for_row_blocks(begin, end, [&](int64_t k, int64_t count) {
      kernel.input_gradient(c, weights, k, count, dy + at * y_floats, to, memory);
    });
  });
}

tersor_status weight_gradient(const ConvKernels& kernel, tersor_context* context, const Convolution& c, const float* x,
                              const float* dy, float* dw) {
  const int64_t x_floats = c.group_channels() * c.height * c.width, y_floats = c.group_outputs() * c.positions();
  const int64_t floats = c.depth() * c.group_outputs(), rows = rows_of_chunk(c), chunks = divide_up(c.depth(), rows);
  const int64_t parts =
      std::clamp<int64_t>(c.images, 1, std::max<int64_t>(1, kMostParts / std::max<int64_t>(1, chunks * c.groups)));
  AlignedBuffer<float> sums;
  if (const tersor_status status = sums.allocate(context, parts * c.groups * floats); status != TERSOR_OK) {
    return status;
  }
  const tersor_status status = for_blocks(context, c, parts * c.groups * chunks, 1, [&](int64_t i, float* memory) {
    const int64_t at = i / chunks, part = at / c.groups, group = at % c.groups;
    const int64_t begin = i % chunks * rows, end = std::min(c.depth(), begin + rows);
    float* const own = sums.data() + at * floats;
    std::fill(own + begin * c.group_outputs(), own + end * c.group_outputs(), 0.0f);
    for (int64_t n = part * c.images / parts; n < (part + 1) * c.images / parts; ++n) {
      const int64_t source = n * c.groups + group;
      for_row_blocks(begin, end, [&](int64_t k, int64_t count) {
        kernel.weight_gradient(c, x + source * x_floats, k, count, dy + source * y_floats, own, memory);
      });
    }
  });
  if (status != TERSOR_OK) return status;
  return for_chunks(context, c.outputs, row_grain(parts * c.depth()), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      const int64_t group = o / c.group_outputs(), column = o % c.group_outputs();
      for (int64_t k = 0; k < c.depth(); ++k) {
        float sum = 0.0f;
        for (int64_t part = 0; part < parts; ++part) {
          sum += sums[(part * c.groups + group) * floats + k * c.group_outputs() + column];
        }
        dw[o * c.depth() + k] = sum;
      }
    }
  });
}

tersor_status bias_gradient(tersor_context* context, const Convolution& c, const float* dy, float* dbias) {
  const int64_t positions = c.positions();
  return for_chunks(context, c.outputs, row_grain(c.images * positions), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      double sum = 0.0;
      for (int64_t n = 0; n < c.images; ++n) sum += reduce_span<Sum>(dy + (n * c.outputs + o) * positions, positions);
      dbias[o] = static_cast<float>(sum);
    }
  });
}

}  // namespace

tersor_status conv2d_by(const ConvKernels& kernel, tersor_context* context, const tersor_tensor* x,
                        const tersor_tensor* w, const tersor_tensor* bias, const tersor_convolution* options,
                        tersor_activation activation, const tersor_tensor* y) {
  const Convolution c = convolution_of(x, w, options, y);
  const auto* px = data_of<const float>(x);
  const auto* pw = data_of<const float>(w);
  const auto* pb = bias == nullptr ? nullptr : data_of<const float>(bias);
  auto* py = data_of<float>(y);
  const ActivateSpan& activate_span = activate_kernels.best()();
  const int64_t positions = c.positions(), blocks = (positions + kConvPositions - 1) / kConvPositions;
  const int64_t products = std::max<int64_t>(1, std::min(positions, kConvPositions) * c.depth() * c.group_outputs());
  const int64_t grain = std::max<int64_t>(1, kProductsPerChunk / products);
  return for_blocks(context, c, c.images * c.groups * blocks, grain, [&](int64_t i, float* memory) {
    const int64_t begin = i % blocks * kConvPositions, count = std::min(kConvPositions, positions - begin);
    const int64_t image = i / blocks, first = image % c.groups * c.group_outputs();
    float* const to = py + image * c.group_outputs() * positions;
    for (int64_t o = 0; o < c.group_outputs(); ++o) {
      std::fill_n(to + o * positions + begin, count, pb == nullptr ? 0.0f : pb[first + o]);
    }
    kernel.forward(c, px + image * c.group_channels() * c.height * c.width, pw + first * c.depth(), begin, count, to,
                   memory);
    if (activation == TERSOR_IDENTITY) return;
    for (int64_t o = 0; o < c.group_outputs(); ++o) {
      float* const row = to + o * positions + begin;
      activate_span.value(activation, count, row, row);
    }
  });
}

tersor_status conv2d_gradient_by(const ConvKernels& kernel, tersor_context* context, const tersor_tensor* x,
                                 const tersor_tensor* w, const tersor_convolution* options, const tersor_tensor* dy,
                                 const tersor_tensor* dx, const tersor_tensor* dw, const tersor_tensor* dbias) {
  const Convolution c = convolution_of(x, w, options, dy);
  const auto* slopes = data_of<const float>(dy);
  tersor_status status = TERSOR_OK;
  if (dx != nullptr) {
    status = input_gradient(kernel, context, c, data_of<const float>(w), slopes, data_of<float>(dx));
  }
  if (dw != nullptr && status == TERSOR_OK) {
    status = weight_gradient(kernel, context, c, data_of<const float>(x), slopes, data_of<float>(dw));
  }
  if (dbias != nullptr && status == TERSOR_OK) status = bias_gradient(context, c, slopes, data_of<float>(dbias));
  return status;
}

tersor_status conv2d(tersor_context* context, const tersor_tensor* x, const tersor_tensor* w, const tersor_tensor* bias,
                     const tersor_convolution* options, tersor_activation activation, const tersor_tensor* y) {
  return conv2d_by(conv_kernels.best()(), context, x, w, bias, options, activation, y);
}

tersor_status conv2d_gradient(tersor_context* context, const tersor_tensor* x, const tersor_tensor* w,
                              const tersor_convolution* options, const tersor_tensor* dy, const tersor_tensor* dx,
                              const tersor_tensor* dw, const tersor_tensor* dbias) {
  return conv2d_gradient_by(conv_kernels.best()(), context, x, w, options, dy, dx, dw, dbias);
}

}  // namespace tersor::cpu
