// The body of every second_order_<isa>.cc; loops over lanes are left to the compiler, products are PanelUpdate's.
#pragma once

#include <cstring>

#include "cpu/compress/second_order_kernels.h"
#include "cpu/linalg/panel_update.h"

namespace tersor::cpu {
namespace {

constexpr int kLanes = PanelUpdateF32::kLanes, kWidth = PanelUpdateF32::kColumns;
constexpr int64_t kDepth = 128;  // columns of a product at a time: the tile's part stays in L1

constexpr float kSmallestNormal = 0x1p-126f, kLargest = 0x1.fffffep+127f;

inline float half_even(float v) {
  constexpr float kRound = 12582912.0f;  // as in affine.h, which vector files must not include
  return (v + kRound) - kRound;
}

struct Panel {
  int64_t begin, end;
  const float* factors;
};

inline Panel panel_of(const SecondOrderPlan& plan, int64_t index) {
  return {plan.panel_begin[index], plan.panel_begin[index + 1], plan.factors + plan.factors_offset[index]};
}

// target -= errors of columns [first, first + count), which lie at `errors`.
inline void take_over(const Panel& panel, int64_t first, int64_t count, const float* errors, float* target) {
  PanelUpdateF32::run(count, errors, kLanes, panel.factors + first * kWidth, kWidth, target, kLanes);
}

inline void absorb(const SecondOrderPlan& plan, const RowTile& tile, int64_t first, int64_t last) {
  const int64_t begin = plan.panel_begin[first], end = plan.panel_begin[last];
  std::memcpy(tile.originals, tile.values + begin * kLanes,
              static_cast<size_t>((end - begin) * kLanes) * sizeof(float));
  for (int64_t k = 0; k < begin; k += kDepth) {
    const int64_t depth = begin - k < kDepth ? begin - k : kDepth;
    for (int64_t p = first; p < last; ++p) {
      const Panel panel = panel_of(plan, p);
      take_over(panel, k, depth, tile.values + k * kLanes, tile.values + panel.begin * kLanes);
    }
  }
}

// What columns [begin, end) would be if all of them could make up for the errors so far without being compressed
// themselves, at tile.ahead: what scales and masks are chosen by. `index` is the panel of `begin`, whose columns have
// taken everything over; later panels have what the block before brought.
inline void look_ahead(const SecondOrderPlan& plan, const RowTile& tile, int64_t block, int64_t index, int64_t begin,
                       int64_t end) {
  for (int64_t p = index; p < plan.panels && plan.panel_begin[p] < end; ++p) {
    const Panel panel = panel_of(plan, p);
    const int64_t from = panel.begin > begin ? panel.begin : begin, to = panel.end < end ? panel.end : end;
    float* ahead = tile.ahead + (from - begin) * kLanes;
    std::memcpy(ahead, tile.values + from * kLanes, static_cast<size_t>((to - from) * kLanes) * sizeof(float));
    if (begin == 0) continue;
    if (p > index) {
      take_over(panel, block, begin - block, tile.values + block * kLanes, ahead);
      take_over(panel, begin, from - begin, tile.ahead_errors, ahead);
    }
    for (int64_t column = from; column < to; ++column) {
      const float* value = tile.ahead + (column - begin) * kLanes;
      const float* original = tile.originals + (column - block) * kLanes;
      float* error = tile.ahead_errors + (column - begin) * kLanes;
      for (int lane = 0; lane < kLanes; ++lane) error[lane] = value[lane] - original[lane];
      for (int64_t later = column + 1; later < to; ++later) {
        const float factor = panel.factors[column * kWidth + (later - panel.begin)];
        float* target = tile.ahead + (later - begin) * kLanes;
        for (int lane = 0; lane < kLanes; ++lane) target[lane] -= error[lane] * factor;
      }
    }
  }
}

// Scales that cover `count` columns at tile.ahead and 0.
inline void find_scales(const SecondOrderPlan& plan, const RowTile& tile, int64_t count, int32_t parameter) {
  float* scale = tile.parameters + int64_t{parameter} * kLaneParameters * kLanes;
  float *bias = scale + kLanes, *zero = bias + kLanes, *lower = zero + kLanes, *upper = lower + kLanes;
  float lowest[kLanes] = {}, highest[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) {
    const float* value = tile.ahead + i * kLanes;
    for (int lane = 0; lane < kLanes; ++lane) {
      lowest[lane] = value[lane] < lowest[lane] ? value[lane] : lowest[lane];
      highest[lane] = value[lane] > highest[lane] ? value[lane] : highest[lane];
    }
  }
  const float levels = plan.code_max - plan.code_min;
  for (int lane = 0; lane < kLanes; ++lane) {
    const bool symmetric = plan.scales == CodeScales::symmetric;
    const float largest = -lowest[lane] > highest[lane] ? -lowest[lane] : highest[lane];
    // Halves, so that a range that fills f32 does not overflow.
    const float half = symmetric ? largest : highest[lane] / 2 - lowest[lane] / 2;
    const float found = half / (levels / 2);
    scale[lane] = found >= kSmallestNormal && found <= kLargest ? found : 1.0f;
    bias[lane] = 0;
    if (!symmetric) {
      const float steps = -lowest[lane] / scale[lane];
      zero[lane] = plan.code_min + half_even(steps < levels ? steps : levels);
    }
    lower[lane] = plan.code_min - zero[lane];
    upper[lane] = plan.code_max - zero[lane];
  }
}

// Keeps the plan.keep dearest of `count` columns at tile.ahead in each row, the first ones of equals.
inline void choose_mask(const SecondOrderPlan& plan, const RowTile& tile, int64_t begin, int64_t count, uint8_t* kept) {
  const auto cost = [&](int64_t i, int lane) {
    const float felt = tile.ahead[i * kLanes + lane] * plan.pivots[begin + i];
    return felt * felt;
  };
  for (int64_t i = 0; i < count; ++i) {
    int32_t dearer[kLanes] = {};
    for (int64_t other = 0; other < count; ++other) {
      if (other == i) continue;
      for (int lane = 0; lane < kLanes; ++lane) {
        const float own = cost(i, lane), rival = cost(other, lane);
        dearer[lane] += rival > own || (rival == own && other < i) ? 1 : 0;
      }
    }
    for (int lane = 0; lane < kLanes; ++lane) kept[i * kLanes + lane] = dearer[lane] < plan.keep ? 1 : 0;
  }
}

inline void score(const SecondOrderPlan& plan, const RowTile& tile, int64_t first, int64_t last) {
  const int64_t begin = plan.panel_begin[first], end = plan.panel_begin[last];
  look_ahead(plan, tile, begin, first, begin, end);
  for (int64_t column = begin; column < end; ++column) {
    const float pivot = plan.pivots[column];
    for (int lane = 0; lane < kLanes; ++lane) {
      const float felt = tile.ahead[(column - begin) * kLanes + lane] * pivot;
      tile.scores[(column - begin) * kLanes + lane] = felt * felt;
    }
  }
}

// Rounds one column in place and writes its codes.
inline void round_column(const SecondOrderPlan& plan, const RowTile& tile, int64_t column, float* value,
                         uint8_t* codes) {
  const float* scale = tile.parameters + int64_t{plan.parameter_of[column]} * kLaneParameters * kLanes;
  const float *bias = scale + kLanes, *zero = bias + kLanes, *lower = zero + kLanes, *upper = lower + kLanes;
  for (int lane = 0; lane < kLanes; ++lane) {
    const float position = (value[lane] - bias[lane]) / scale[lane];
    // A NaN, left by errors that overflowed, becomes the lowest code.
    const float above = position > lower[lane] ? position : lower[lane];
    const float step = half_even(above < upper[lane] ? above : upper[lane]);
    value[lane] = scale[lane] * step + bias[lane];
    codes[lane] = static_cast<uint8_t>(static_cast<int32_t>(step + zero[lane]));
  }
}

inline void compress(const SecondOrderPlan& plan, const RowTile& tile, int64_t first, int64_t last) {
  const int64_t block = plan.panel_begin[first];
  for (int64_t p = first; p < last; ++p) {
    const Panel panel = panel_of(plan, p);
    take_over(panel, block, panel.begin - block, tile.values + block * kLanes, tile.values + panel.begin * kLanes);
    for (int64_t column = panel.begin; column < panel.end; ++column) {
      if (plan.unit > 0 && column % plan.unit == 0) {
        const int64_t end = column + plan.unit < plan.columns ? column + plan.unit : plan.columns;
        look_ahead(plan, tile, block, p, column, end);
        if (plan.keep > 0) {
          choose_mask(plan, tile, column, end - column, tile.kept + (column - block) * kLanes);
        } else {
          find_scales(plan, tile, end - column, plan.parameter_of[column]);
        }
      }
      float* value = tile.values + column * kLanes;
      if (plan.scales != CodeScales::none) {
        round_column(plan, tile, column, value, tile.codes + (column - block) * kLanes);
      }
      if (plan.masked) {
        const uint8_t* kept = tile.kept + (column - block) * kLanes;
        for (int lane = 0; lane < kLanes; ++lane) value[lane] = kept[lane] != 0 ? value[lane] : 0.0f;
      }
      const float* original = tile.originals + (column - block) * kLanes;
      float* result = tile.results + (column - block) * kLanes;
      for (int lane = 0; lane < kLanes; ++lane) {
        result[lane] = value[lane];
        value[lane] -= original[lane];
      }
      for (int64_t later = column + 1; later < panel.end; ++later) {
        const float factor = panel.factors[column * kWidth + (later - panel.begin)];
        float* target = tile.values + later * kLanes;
        for (int lane = 0; lane < kLanes; ++lane) target[lane] -= value[lane] * factor;
      }
    }
  }
}

constexpr SecondOrderKernels kSecondOrder = {
    .lanes = kLanes, .width = kWidth, .absorb = absorb, .score = score, .compress = compress};

}  // namespace
}  // namespace tersor::cpu
