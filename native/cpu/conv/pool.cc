// Maximum and mean over windows of an image.
#include <algorithm>
#include <cmath>

#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

// Pixels [begin, end) of an axis that a window covers.
struct Span {
  int64_t begin, end;
};

Span span_of(int64_t position, int64_t kernel, int64_t stride, int64_t padding, int64_t size) {
  const int64_t first = position * stride - padding;
  return {std::max<int64_t>(0, first), std::min(size, first + kernel)};
}

struct Windows {
  int64_t planes, height, width, out_height, out_width;
  const tersor_pooling& options;

  Windows(const tersor_tensor* x, const tersor_tensor* y, const tersor_pooling* o)
      : planes(x->shape[0] * x->shape[1]),
        height(x->shape[2]),
        width(x->shape[3]),
        out_height(y->shape[2]),
        out_width(y->shape[3]),
        options(*o) {}

  // body(plane, position in a plane of y, rows, columns) for every window, planes in parallel.
  template <typename Body>
  tersor_status for_each(tersor_context* context, Body&& body) const {
    const int64_t pixels = out_height * out_width * options.kernel[0] * options.kernel[1];
    return for_chunks(context, planes, row_grain(pixels), [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        for (int64_t i = 0; i < out_height; ++i) {
          const Span rows = span_of(i, options.kernel[0], options.stride[0], options.padding[0], height);
          for (int64_t j = 0; j < out_width; ++j) {
            body(plane, i * out_width + j, rows,
                 span_of(j, options.kernel[1], options.stride[1], options.padding[1], width));
          }
        }
      }
    });
  }

  double divisor(const Span& rows, const Span& columns) const {
    return static_cast<double>(options.count_padding != 0 ? int64_t{options.kernel[0]} * options.kernel[1]
                                                          : (rows.end - rows.begin) * (columns.end - columns.begin));
  }
};

// Where the largest pixel is, the first of equal ones; the first NaN when there is one.
int64_t place_of_largest(const float* x, int64_t width, const Span& rows, const Span& columns) {
  int64_t place = rows.begin * width + columns.begin;
  for (int64_t i = rows.begin; i < rows.end; ++i) {
    for (int64_t j = columns.begin; j < columns.end; ++j) {
      const float v = x[i * width + j], largest = x[place];
      if (v > largest || (std::isnan(v) && !std::isnan(largest))) place = i * width + j;
    }
  }
  return place;
}

}  // namespace

tersor_status pool2d(tersor_context* context, const tersor_tensor* x, const tersor_pooling* options,
                     const tersor_tensor* y) {
  const Windows windows(x, y, options);
  const auto* px = data_of<const float>(x);
  auto* py = data_of<float>(y);
  const int64_t width = windows.width, area = windows.height * width, outputs = windows.out_height * windows.out_width;
  if (options->mode == TERSOR_POOL_MAX) {
    return windows.for_each(context, [&](int64_t plane, int64_t at, const Span& rows, const Span& columns) {
      const float* const image = px + plane * area;
      py[plane * outputs + at] = image[place_of_largest(image, width, rows, columns)];
    });
  }
  return windows.for_each(context, [&](int64_t plane, int64_t at, const Span& rows, const Span& columns) {
    double sum = 0;
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      for (int64_t j = columns.begin; j < columns.end; ++j)
        sum += static_cast<double>(px[plane * area + i * width + j]);
    }
    py[plane * outputs + at] = static_cast<float>(sum / windows.divisor(rows, columns));
  });
}

tersor_status pool2d_gradient(tersor_context* context, const tersor_tensor* x, const tersor_pooling* options,
                              const tersor_tensor* dy, const tersor_tensor* dx) {
  const Windows windows(x, dy, options);
  const auto* px = data_of<const float>(x);
  const auto* slopes = data_of<const float>(dy);
  auto* out = data_of<float>(dx);
  const int64_t width = windows.width, area = windows.height * width, outputs = windows.out_height * windows.out_width;
  const tersor_status cleared = for_chunks(context, windows.planes * area, kGrain, [&](int64_t begin, int64_t end) {
    std::fill(out + begin, out + end, 0.0f);
  });
  if (cleared != TERSOR_OK) return cleared;
  if (options->mode == TERSOR_POOL_MAX) {
    return windows.for_each(context, [&](int64_t plane, int64_t at, const Span& rows, const Span& columns) {
      out[plane * area + place_of_largest(px + plane * area, width, rows, columns)] += slopes[plane * outputs + at];
    });
  }
  return windows.for_each(context, [&](int64_t plane, int64_t at, const Span& rows, const Span& columns) {
    const auto share =
        static_cast<float>(static_cast<double>(slopes[plane * outputs + at]) / windows.divisor(rows, columns));
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      for (int64_t j = columns.begin; j < columns.end; ++j) out[plane * area + i * width + j] += share;
    }
  });
}

}  // namespace tersor::cpu
