// The loops of conv.h over vectors of any ISA. Every ISA file compiles them for itself (hence anonymous).
#pragma once

#include <cstring>

#include "cpu/conv/conv.h"
#include "cpu/vector/small_product.h"

namespace tersor::cpu {
namespace {

// What row `k` of the columns reads: a channel, and how far its pixel lies from that of the kernel's first element.
struct ConvTap {
  int64_t channel, down, across;
};

inline ConvTap tap_of(const Convolution& c, int64_t k) {
  const int64_t area = c.kernel_height * c.kernel_width, in_kernel = k % area;
  return {k / area, in_kernel / c.kernel_width * c.dilation[0] - c.padding[0],
          in_kernel % c.kernel_width * c.dilation[1] - c.padding[1]};
}

// body(first position relative to `begin`, how many, pixel row or null when outside, first pixel's column) for the
// parts of [begin, begin + count) that lie in one row of the output.
template <typename Pixel, typename Body>
void for_output_rows(const Convolution& c, const ConvTap& tap, Pixel* image, int64_t begin, int64_t count,
                     Body&& body) {
  Pixel* const channel = image + tap.channel * c.height * c.width;
  for (int64_t done = 0; done < count;) {
    const int64_t row = (begin + done) / c.out_width, column = (begin + done) % c.out_width;
    const int64_t rest = c.out_width - column, length = rest < count - done ? rest : count - done;
    const int64_t pixel_row = row * c.stride[0] + tap.down;
    const bool inside = pixel_row >= 0 && pixel_row < c.height;
    body(done, length, inside ? channel + pixel_row * c.width : nullptr, column * c.stride[1] + tap.across);
    done += length;
  }
}

// Places of a row whose pixels are inside: [first, last) of `length`, the pixel of place i being pixel + i * stride.
struct InsideRange {
  int64_t first, last;
};

inline InsideRange inside_range(int64_t length, int64_t pixel, int64_t stride, int64_t width) {
  int64_t first = pixel >= 0 ? 0 : (-pixel + stride - 1) / stride;
  int64_t last = pixel >= width ? 0 : (width - pixel + stride - 1) / stride;
  if (first > length) first = length;
  if (last > length) last = length;
  if (last < first) last = first;
  return {first, last};
}

// columns[k - k_begin][p - begin], rows `count` apart.
inline void make_columns(const Convolution& c, const float* x, int64_t k_begin, int64_t k_count, int64_t begin,
                         int64_t count, float* columns) {
  for (int64_t k = 0; k < k_count; ++k) {
    float* const to = columns + k * count;
    for_output_rows(
        c, tap_of(c, k_begin + k), x, begin, count, [&](int64_t at, int64_t length, const float* row, int64_t pixel) {
          const InsideRange in =
              row == nullptr ? InsideRange{length, length} : inside_range(length, pixel, c.stride[1], c.width);
          for (int64_t i = 0; i < in.first; ++i) to[at + i] = 0.0f;
          if (c.stride[1] == 1 && in.last > in.first) {
            std::memcpy(to + at + in.first, row + pixel + in.first,
                        static_cast<size_t>(in.last - in.first) * sizeof(float));
          } else {
            for (int64_t i = in.first; i < in.last; ++i) to[at + i] = row[pixel + i * c.stride[1]];
          }
          for (int64_t i = in.last; i < length; ++i) to[at + i] = 0.0f;
        });
  }
}

// The reverse: adds each element of the columns to the pixel that it was read from.
inline void add_columns(const Convolution& c, const float* columns, int64_t k_begin, int64_t k_count, int64_t begin,
                        int64_t count, float* x) {
  for (int64_t k = 0; k < k_count; ++k) {
    const float* const from = columns + k * count;
    for_output_rows(c, tap_of(c, k_begin + k), x, begin, count,
                    [&](int64_t at, int64_t length, float* row, int64_t pixel) {
                      if (row == nullptr) return;
                      const InsideRange in = inside_range(length, pixel, c.stride[1], c.width);
                      for (int64_t i = in.first; i < in.last; ++i) row[pixel + i * c.stride[1]] += from[at + i];
                    });
  }
}

template <typename Vector>
struct ConvLoops {
  static void forward(const Convolution& c, const float* x, const float* weights, int64_t begin, int64_t count,
                      float* y, float* scratch) {
    const int64_t depth = c.depth(), positions = c.positions();
    for (int64_t k = 0; k < depth; k += kConvDepth) {
      const int64_t part = depth - k < kConvDepth ? depth - k : kConvDepth;
      const float* columns = scratch;
      int64_t stride = count;
      if (c.reads_every_position()) {
        columns = x + k * positions + begin;
        stride = positions;
      } else {
        make_columns(c, x, k, part, begin, count, scratch);
      }
      small_product<Vector>(c.group_outputs(), count, part, {weights + k, depth, 1}, columns, stride, y + begin,
                            positions, true);
    }
  }

  static void input_gradient(const Convolution& c, const float* weights, int64_t k_begin, int64_t k_count,
                             const float* dy, float* dx, float* scratch) {
    const int64_t positions = c.positions();
    for (int64_t begin = 0; begin < positions; begin += kConvPositions) {
      const int64_t count = positions - begin < kConvPositions ? positions - begin : kConvPositions;
      small_product<Vector>(k_count, count, c.group_outputs(), {weights + k_begin, 1, c.depth()}, dy + begin, positions,
                            scratch, count, false);
      add_columns(c, scratch, k_begin, k_count, begin, count, dx);
    }
  }

  static void weight_gradient(const Convolution& c, const float* x, int64_t k_begin, int64_t k_count, const float* dy,
                              float* sums, float* scratch) {
    const int64_t positions = c.positions(), outputs = c.group_outputs();
    float* const slopes = scratch + kConvPositions * kConvDepth;  // [positions][outputs]
    for (int64_t begin = 0; begin < positions; begin += kConvPositions) {
      const int64_t count = positions - begin < kConvPositions ? positions - begin : kConvPositions;
      transpose<Vector>(outputs, count, dy + begin, positions, slopes, outputs);
      make_columns(c, x, k_begin, k_count, begin, count, scratch);
      small_product<Vector>(k_count, outputs, count, {scratch, count, 1}, slopes, outputs, sums + k_begin * outputs,
                            outputs, true);
    }
  }
};

template <typename Vector>
constexpr ConvKernels conv_loops() {
  return {ConvLoops<Vector>::forward, ConvLoops<Vector>::input_gradient, ConvLoops<Vector>::weight_gradient};
}

}  // namespace
}  // namespace tersor::cpu
