#include <omp.h>

#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

#include "peer.h"
#include "pinning.h"

namespace tersor::bench {
namespace {

using dnnl::memory;
using Type = memory::data_type;
using Layout = memory::format_tag;

// A scale per column, in the product's own epilogue. Version 3 changed both how that and how a product is described.
#if DNNL_VERSION_MAJOR >= 3
void add_scales(dnnl::primitive_attr& attributes, const float*, int64_t) {
  attributes.set_scales_mask(DNNL_ARG_WEIGHTS, 1 << 1);
}

dnnl::matmul::primitive_desc describe(const dnnl::engine& engine, const memory::desc& x, const memory::desc& w,
                                      const memory::desc& y, const dnnl::primitive_attr& attributes) {
  return {engine, x, w, y, attributes};
}
#else
void add_scales(dnnl::primitive_attr& attributes, const float* scales, int64_t columns) {
  attributes.set_output_scales(1 << 1, std::vector<float>(scales, scales + columns));
}

dnnl::matmul::primitive_desc describe(const dnnl::engine& engine, const memory::desc& x, const memory::desc& w,
                                      const memory::desc& y, const dnnl::primitive_attr& attributes) {
  return {dnnl::matmul::desc(x, w, y), attributes, engine};
}
#endif

#if DNNL_VERSION_MAJOR >= 3
dnnl::convolution_forward::primitive_desc describe_convolution(const dnnl::engine& engine, const memory::desc& x,
                                                               const memory::desc& w, const memory::desc& y,
                                                               const memory::dims& stride,
                                                               const memory::dims& padding) {
  return {engine, dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, x, w, y, stride, padding,
          padding};
}
#else
dnnl::convolution_forward::primitive_desc describe_convolution(const dnnl::engine& engine, const memory::desc& x,
                                                               const memory::desc& w, const memory::desc& y,
                                                               const memory::dims& stride,
                                                               const memory::dims& padding) {
  return {{dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, x, w, y, stride, padding, padding},
          engine};
}
#endif

Layout layout(bool transposed) { return transposed ? Layout::ba : Layout::ab; }

class OneDnnProduct {
 public:
  explicit OneDnnProduct(const DenseProduct& p) {
    const bool integer = p.scales != nullptr;
    const memory::desc x({p.m, p.k}, integer ? Type::u8 : Type::f32, layout(p.transpose_x));
    const memory::desc multiplied_x({p.m, p.k},
                                    p.bf16    ? Type::bf16
                                    : integer ? Type::u8
                                              : Type::f32,
                                    layout(p.transpose_x));
    const memory::desc given({p.k, p.n}, integer ? Type::s8 : Type::f32, layout(p.transpose_w));
    const memory::desc free({p.k, p.n}, p.bf16 ? Type::bf16 : integer ? Type::s8 : Type::f32, Layout::any);
    const memory::desc y({p.m, p.n}, Type::f32, Layout::ab);
    dnnl::primitive_attr attributes;
    if (integer) add_scales(attributes, p.scales, p.n);
    const auto described = describe(engine_, multiplied_x, p.fixed_w ? free : given, y, attributes);
    product_ = dnnl::matmul(described);

    memory w(given, engine_, const_cast<void*>(p.w));
    if (p.fixed_w) {
      memory best(described.weights_desc(), engine_);
      dnnl::reorder(w, best).execute(stream_, w, best);
      stream_.wait();
      w = best;
    }
    y_ = memory(y, engine_);
    x_ = memory(x, engine_, const_cast<void*>(p.x));
    rounded_x_ = p.bf16 ? memory(multiplied_x, engine_) : x_;
    if (p.bf16) round_ = dnnl::reorder(x_, rounded_x_);
    arguments_ = {{DNNL_ARG_SRC, rounded_x_}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, y_}};
#if DNNL_VERSION_MAJOR >= 3
    if (integer) {
      const memory::desc scales({p.n}, Type::f32, Layout::a);
      arguments_.emplace(DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS,
                         memory(scales, engine_, const_cast<float*>(p.scales)));
    }
#endif
  }

  void run() {
    if (round_) round_.execute(stream_, x_, rounded_x_);
    product_.execute(stream_, arguments_);
    stream_.wait();
  }

  const float* result() const { return static_cast<const float*>(y_.get_data_handle()); }

 private:
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  dnnl::matmul product_;
  dnnl::reorder round_;  // of x; empty when it is multiplied as it is
  memory x_, rounded_x_, y_;
  std::unordered_map<int, memory> arguments_;
};

class OneDnnConvolution {
 public:
  explicit OneDnnConvolution(const Convolution& c) {
    const memory::dims x{c.n, c.channels, c.size, c.size}, w{c.outputs, c.channels, c.kernel, c.kernel};
    const memory::dims y{c.n, c.outputs, c.size, c.size};
    const auto any = [](const memory::dims& dims) { return memory::desc(dims, Type::f32, Layout::any); };
    const auto described = describe_convolution(engine_, any(x), any(w), any(y), {1, 1}, {c.kernel / 2, c.kernel / 2});
    convolution_ = dnnl::convolution_forward(described);
    plain_ = memory({y, Type::f32, Layout::nchw}, engine_);
    y_ = memory(described.dst_desc(), engine_);
    arguments_ = {{DNNL_ARG_SRC, brought(c.x, x, Layout::nchw, described.src_desc())},
                  {DNNL_ARG_WEIGHTS, brought(c.w, w, Layout::oihw, described.weights_desc())},
                  {DNNL_ARG_DST, y_}};
  }

  void run() {
    convolution_.execute(stream_, arguments_);
    stream_.wait();
  }

  const float* result() {
    dnnl::reorder(y_, plain_).execute(stream_, y_, plain_);
    stream_.wait();
    return static_cast<const float*>(plain_.get_data_handle());
  }

 private:
  memory brought(const float* data, const memory::dims& dims, Layout plain, const memory::desc& wanted) {
    memory from({dims, Type::f32, plain}, engine_, const_cast<float*>(data)), to(wanted, engine_);
    dnnl::reorder(from, to).execute(stream_, from, to);
    stream_.wait();
    return to;
  }

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  dnnl::convolution_forward convolution_;
  memory y_, plain_;
  std::unordered_map<int, memory> arguments_;
};

}  // namespace

std::string peer_name() {
  const dnnl_version_t* version = dnnl_version();
  return "oneDNN " + std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
         std::to_string(version->patch);
}

void set_peer_threads(int count) {
  omp_set_num_threads(count);
#pragma omp parallel
  pin_thread(omp_get_thread_num());
}

std::optional<Peer> dense_peer(const DenseProduct& product) {
  auto made = std::make_shared<OneDnnProduct>(product);
  return Peer{[made] { made->run(); }, [made] { return made->result(); }};
}

std::optional<Peer> convolution_peer(const Convolution& convolution) {
  auto made = std::make_shared<OneDnnConvolution>(convolution);
  return Peer{[made] { made->run(); }, [made] { return made->result(); }};
}

}  // namespace tersor::bench
