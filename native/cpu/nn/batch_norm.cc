// Batch norm of images (Ioffe & Szegedy 2015). A channel belongs to one chunk and its images are taken in their order.
#include <cmath>

#include "cpu/nn/channel_spans.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<ChannelSpansKernel> channel_kernels("channel", {
#if TERSOR_X86
  {"channel_avx512", Isa::avx512, channel_avx512}, {"channel_avx2", Isa::avx2, channel_avx2},
#elif TERSOR_ARM
  {"channel_neon", Isa::neon, channel_neon},
#endif
      {"channel_scalar", Isa::scalar, channel_scalar},
});

namespace {

constexpr int64_t kCost = 2;  // of an element beside that of plain work

struct Images {
  int64_t count, channels, pixels;

  explicit Images(const tersor_tensor* x)
      : count(x->shape[0]), channels(x->shape[1]), pixels(x->shape[2] * x->shape[3]) {}

  // Elements of a channel of all images.
  int64_t size() const { return count * pixels; }

  // body(channel) in parallel.
  template <typename Body>
  tersor_status for_channels(tersor_context* context, Body&& body) const {
    return for_chunks(context, channels, row_grain(kCost * size()), [&](int64_t begin, int64_t end) {
      for (int64_t channel = begin; channel < end; ++channel) body(channel);
    });
  }

  // body(offset of the image's pixels) for the images of a channel.
  template <typename Body>
  void for_images(int64_t channel, Body&& body) const {
    for (int64_t image = 0; image < count; ++image) body((image * channels + channel) * pixels);
  }
};

float element_or(const tersor_tensor* vector, int64_t i, float otherwise) {
  return vector == nullptr ? otherwise : data_of<const float>(vector)[i];
}

struct Channel {
  float mean;
  double inverse;  // 1 / sqrt(variance + epsilon)
  double weight;
};

Channel channel_of(const tersor_batch_norm* norm, int64_t i) {
  const auto variance = static_cast<double>(data_of<const float>(norm->variance)[i]);
  return {data_of<const float>(norm->mean)[i], 1.0 / std::sqrt(variance + static_cast<double>(norm->epsilon)),
          static_cast<double>(element_or(norm->weight, i, 1.0f))};
}

}  // namespace

tersor_status channel_moments(tersor_context* context, const tersor_tensor* x, const tersor_tensor* mean,
                              const tersor_tensor* variance) {
  const Images images(x);
  const auto* px = data_of<const float>(x);
  const auto size = static_cast<double>(images.size());
  const ChannelSpans& kernel = channel_kernels.best()();
  return images.for_channels(context, [&](int64_t channel) {
    double sum = 0, squares = 0;
    images.for_images(channel, [&](int64_t at) { sum += kernel.sum(px + at, images.pixels); });
    const double exact = sum / size;
    const auto rounded = static_cast<float>(exact);
    images.for_images(channel, [&](int64_t at) { squares += kernel.squares(px + at, images.pixels, rounded); });
    const double off = static_cast<double>(rounded) - exact;
    data_of<float>(mean)[channel] = rounded;
    data_of<float>(variance)[channel] = static_cast<float>(squares / size - off * off);
  });
}

tersor_status batch_norm2d(tersor_context* context, const tersor_tensor* x, const tersor_batch_norm* norm,
                           const tersor_tensor* y) {
  const Images images(x);
  const auto* px = data_of<const float>(x);
  auto* py = data_of<float>(y);
  const ChannelSpans& kernel = channel_kernels.best()();
  return images.for_channels(context, [&](int64_t channel) {
    const Channel c = channel_of(norm, channel);
    const auto scale = static_cast<float>(c.inverse * c.weight);
    const float shift = element_or(norm->bias, channel, 0.0f);
    images.for_images(channel,
                      [&](int64_t at) { kernel.affine(px + at, images.pixels, c.mean, scale, shift, py + at); });
  });
}

tersor_status batch_norm2d_gradient(tersor_context* context, const tersor_tensor* x, const tersor_batch_norm* norm,
                                    int32_t of_batch, const tersor_tensor* dy, const tersor_tensor* dx,
                                    const tersor_tensor* weight_gradient, const tersor_tensor* bias_gradient) {
  const Images images(x);
  const auto *px = data_of<const float>(x), *slopes = data_of<const float>(dy);
  const auto size = static_cast<double>(images.size());
  const ChannelSpans& kernel = channel_kernels.best()();
  return images.for_channels(context, [&](int64_t channel) {
    const Channel c = channel_of(norm, channel);
    ChannelSlopes total{};
    images.for_images(channel, [&](int64_t at) {
      const ChannelSlopes own = kernel.slopes(px + at, slopes + at, images.pixels, c.mean);
      total.dy += own.dy;
      total.product += own.product;
    });
    if (weight_gradient != nullptr) {
      data_of<float>(weight_gradient)[channel] = static_cast<float>(total.product * c.inverse);
    }
    if (bias_gradient != nullptr) data_of<float>(bias_gradient)[channel] = static_cast<float>(total.dy);
    if (dx == nullptr) return;
    const double scale = c.inverse * c.weight;
    // The mean and the deviation follow x where they are those of the batch.
    const double by_deviation = of_batch == 0 ? 0 : -scale * c.inverse * c.inverse * total.product / size;
    const double by_mean = of_batch == 0 ? 0 : -scale * total.dy / size;
    images.for_images(channel, [&](int64_t at) {
      kernel.gradient(px + at, slopes + at, images.pixels, c.mean, static_cast<float>(scale),
                      static_cast<float>(by_deviation), static_cast<float>(by_mean), data_of<float>(dx) + at);
    });
  });
}

}  // namespace tersor::cpu
