// Bags, written once for every vector instruction set. A pass keeps `kVectors` vectors of columns in registers while it
// goes through the rows of a bag; the codes of a row become numbers by a multiply-add each.
//
// A vector of bytes holds 8 / bits codes in every byte, which are taken out field by field: accumulator f of a block
// holds columns f, f + 8 / bits, ... of it. They are put in order once a bag, not once a row.
#pragma once

#include <algorithm>

#include "cpu/embedding/bag.h"

namespace tersor::cpu {
namespace {

enum class Fold { sum, weighted_sum, max };

template <typename V, BagFormat kFormat>
class BagPasses {
 public:
  static void run(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
    if (bags.mode == TERSOR_BAG_MAX) return run<Fold::max>(table, bags, first, last, y);
    if (bags.weights != nullptr) return run<Fold::weighted_sum>(table, bags, first, last, y);
    run<Fold::sum>(table, bags, first, last, y);
  }

 private:
  using Floats = typename V::Floats;
  static constexpr int kBits = element_bits(kFormat);
  static constexpr bool kCodes = kBits <= 8;
  static constexpr int kFields = kCodes ? 8 / kBits : 1;
  static constexpr int kBlock = V::kLanes * kFields;   // columns
  static constexpr int kNarrow = 4, kWide = V::kWide;  // vectors of a pass

  template <Fold fold>
  static void run(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
    constexpr int64_t kNarrowColumns = kNarrow * V::kLanes, kWideColumns = kWide * V::kLanes;
    const int64_t start = bags.bounds[first], stop = std::min(start + table.ahead, bags.bounds[last]);
    for (int64_t i = start; i < stop; ++i) prefetch(table, bags.ids[i]);
    for (int64_t bag = first; bag < last; ++bag) {
      float* to = y + bag * table.columns;
      int64_t column = 0;
      for (; column + kWideColumns <= table.columns; column += kWideColumns) {
        pass<fold, kWide, false>(table, bags, bag, column, kWideColumns, to);
      }
      for (; column + kNarrowColumns <= table.columns; column += kNarrowColumns) {
        pass<fold, kNarrow, false>(table, bags, bag, column, kNarrowColumns, to);
      }
      if (column < table.columns) pass<fold, kNarrow, true>(table, bags, bag, column, table.columns - column, to);
    }
  }

  // Inlined by force: gcc takes a function that only fetches for one without effect, and leaves out calls of it.
  //
  // The last byte's line, and those before it; parameters at the end of a row lie in one line with what precedes them.
  template <int kLocality>
  [[gnu::always_inline]] static void prefetch_row(const uint8_t* row, int64_t bytes) {
    for (int64_t at = 0; at < bytes - kRowParameterBytes; at += 64) __builtin_prefetch(row + at, 0, kLocality);
    __builtin_prefetch(row + bytes - 1, 0, kLocality);
  }

  [[gnu::always_inline]] static void prefetch(const BagTable& table, int64_t id) {
    const uint8_t* row = table.rows + id * table.row_bytes;
    if (table.to_l2) {
      prefetch_row<2>(row, table.row_bytes);
    } else {
      prefetch_row<3>(row, table.row_bytes);
    }
  }

  // Columns [column, column + count) of one bag.
  template <Fold fold, int kVectors, bool kTail>
  static void pass(const BagTable& table, const Bags& bags, int64_t bag, int64_t column, int64_t count, float* to) {
    constexpr int kBlocks = kVectors / kFields;
    const int64_t begin = bags.bounds[bag], end = bags.bounds[bag + 1], last = bags.count - 1;
    if (begin == end) {
      std::fill_n(to + column, count, 0.0f);
      return;
    }
    Floats sums[kVectors], biases = V::zero();
    for (Floats& sum : sums) sum = fold == Fold::max ? V::broadcast(-__builtin_inff()) : V::zero();
    const int64_t byte = column * kBits / 8;
    for (int64_t i = begin; i < end; ++i) {
      if (column == 0) prefetch(table, bags.ids[std::min(i + table.ahead, last)]);
      const uint8_t* row = table.rows + bags.ids[i] * table.row_bytes;
      Floats scale = V::zero(), bias = V::zero();
      if constexpr (kCodes) {
        scale = V::broadcast_at(row + table.row_bytes - 8);
        bias = V::broadcast_at(row + table.row_bytes - 4);
      }
      if constexpr (fold == Fold::weighted_sum) {
        const Floats weight = V::broadcast(bags.weights[i]);
        if constexpr (kCodes) {
          scale = V::multiply(scale, weight);
          biases = V::multiply_add(bias, weight, biases);
        } else {
          scale = weight;
        }
      } else if constexpr (fold == Fold::sum && kCodes) {
        biases = V::add(biases, bias);
      }
#pragma GCC unroll 16
      for (int block = 0; block < kBlocks; ++block) {
        const int64_t left = kTail ? count - block * kBlock : kBlock;
        if constexpr (kCodes) {
          const auto words = V::template codes<kTail>(row + byte + block * V::kLanes, (left + kFields - 1) / kFields);
          fold_codes<fold>(words, scale, bias, sums + block * kFields);
        } else {
          const Floats x = V::template numbers<kFormat, kTail>(row + byte + block * V::kLanes * kBits / 8, left);
          fold_one<fold>(x, scale, sums[block]);
        }
      }
    }
    finish<fold, kVectors, kTail>(sums, biases, bags.mode, end - begin, to + column, count);
  }

  template <Fold fold, int kField = 0>
  static void fold_codes(typename V::Words words, Floats scale, Floats bias, Floats* sums) {
    if constexpr (kField < kFields) {
      const Floats code = V::template field<kBits, kField>(words);
      if constexpr (fold == Fold::max) {
        sums[kField] = V::larger(V::multiply_add(scale, code, bias), sums[kField]);
      } else {
        sums[kField] = V::multiply_add(scale, code, sums[kField]);
      }
      fold_codes<fold, kField + 1>(words, scale, bias, sums);
    }
  }

  template <Fold fold>
  static void fold_one(Floats x, Floats weight, Floats& sum) {
    if constexpr (fold == Fold::max) {
      sum = V::larger(x, sum);
    } else if constexpr (fold == Fold::weighted_sum) {
      sum = V::multiply_add(weight, x, sum);
    } else {
      sum = V::add(sum, x);
    }
  }

  template <Fold fold, int kVectors, bool kTail>
  static void finish(Floats* sums, Floats biases, tersor_bag_mode mode, int64_t rows, float* to, int64_t count) {
    if constexpr (kFields == 2) {
      for (int v = 0; v < kVectors; v += 2) V::interleave(sums[v], sums[v + 1]);
    } else if constexpr (kFields == 4) {
      for (int v = 0; v < kVectors; v += 4) {
        V::interleave(sums[v], sums[v + 2]);
        V::interleave(sums[v + 1], sums[v + 3]);
        V::interleave(sums[v], sums[v + 1]);
        V::interleave(sums[v + 2], sums[v + 3]);
      }
    }
    const Floats divisor = V::broadcast(static_cast<float>(rows));
    for (int v = 0; v < kVectors; ++v) {
      Floats value = sums[v];
      if constexpr (fold != Fold::max && kCodes) value = V::add(value, biases);
      if (fold == Fold::sum && mode == TERSOR_BAG_MEAN) value = V::divide(value, divisor);
      if constexpr (kTail) {
        V::store(to + v * V::kLanes, value, count - v * V::kLanes);
      } else {
        V::store(to + v * V::kLanes, value);
      }
    }
  }
};

}  // namespace
}  // namespace tersor::cpu
