// What a user would take instead of our products: oneDNN, when CMake found it. One of peer_onednn.cc and peer_none.cc
// is compiled.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "benchmark.h"
#include "operand.h"

namespace tersor::bench {

// "oneDNN 2.6.3"; empty without a peer.
std::string peer_name();

// Of every product from now on.
void set_peer_threads(int count);

// y[m,n] = op(x) * op(w), f32. Operands stay the caller's and must outlive the peer.
struct DenseProduct {
  int64_t m, n, k;
  const void* x;  // f32 [m,k], or [k,m] when transposed; u8 [m,k] with scales
  bool transpose_x = false;
  const void* w;  // f32 [k,n], or [n,k] when transposed; i8 with scales
  bool transpose_w = true;
  bool fixed_w = true;            // w is a weight: brought into the peer's best layout beforehand
  const float* scales = nullptr;  // f32 [n], multiplied into the columns of an integer product; null for f32
  bool bf16 = false;              // f32 operands count as bf16: w is rounded beforehand, x at every run
};

struct Peer {
  std::function<void()> run;
  std::function<const float*()> result;  // y of the last run
};

// Nothing without a peer.
std::optional<Peer> dense_peer(const DenseProduct& product);

// y [n, outputs, size, size], the convolution of square images with "same" padding, f32. Operands stay the caller's and
// are read at once.
struct Convolution {
  int64_t n, channels, size, outputs, kernel;
  const float *x, *w;  // [n, channels, size, size], [outputs, channels, kernel, kernel]
};

// Nothing without a peer.
std::optional<Peer> convolution_peer(const Convolution& convolution);

// Gives `benchmark`, whose result is `y`, a peer when there is one. `owner` keeps the operands of both alive.
inline void set_peer(Benchmark& benchmark, std::shared_ptr<const void> owner, const Operand& y,
                     const DenseProduct& product) {
  const std::optional<Peer> peer = dense_peer(product);
  if (!peer) return;
  benchmark.peer = peer->run;
  benchmark.compare = [owner, &y, result = peer->result] { require_same(y, result()); };
}

}  // namespace tersor::bench
