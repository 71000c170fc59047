// What the dense and the sparse int8 products share: activations, scales, result.
#pragma once

#include "benchmark.h"
#include "operand.h"
#include "peer.h"

namespace tersor::bench {

struct Int8Layer {
  int64_t m, n, k;
  Operand x, scales, row_sums, y;
  tersor_int8_epilogue epilogue;

  explicit Int8Layer(const Parameters& shape)
      : m(shape["m"]),
        n(shape["n"]),
        k(shape["k"]),
        x(TERSOR_U8, {m, k}),
        scales(TERSOR_F32, {n}),
        row_sums(TERSOR_I32, {n}),
        y(TERSOR_F32, {m, n}),
        epilogue{.input_scale = 1, .input_zero_point = 0, .scales = scales, .row_sums = row_sums, .after = {}} {
    x.fill<uint8_t>(1, 0, 255);
    scales.fill<float>(3, 1, 1000, 1000);
    row_sums.fill<int32_t>(4, 0, 0);
  }

  // The same layer with its weight i8 [n,k] in full, for the peer.
  DenseProduct dense(const int8_t* w) const {
    return {.m = m, .n = n, .k = k, .x = x.data<uint8_t>(), .w = w, .scales = scales.data<float>()};
  }
};

}  // namespace tersor::bench
