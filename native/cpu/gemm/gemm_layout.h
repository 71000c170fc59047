// How the right operand of a dense product lies when it is packed, by `pack_gemm` or for one call.
//
// Columns of the product (rows of a weight) make panels of 48, the width of the AVX-512 register tile and a multiple of
// the others'; inside a panel all columns of one k lie side by side, and panels follow each other. Columns beyond
// the matrix are zero. In panels of bf16 a word of 32 bits takes the place of an f32 number: two k of one column, the
// lower in the low half, with zeros for a k beyond the matrix. Either half is an f32 number after one instruction.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tersor::cpu {

inline constexpr int64_t kPanelColumns = 48, kPanelStep = 16;

constexpr int64_t divide_up(int64_t value, int64_t by) { return (value + by - 1) / by; }
constexpr int64_t round_up(int64_t value, int64_t multiple) { return divide_up(value, multiple) * multiple; }

// Numbers of k per 32 bits of a panel.
constexpr int64_t numbers_per_word(bool bf16) { return bf16 ? 2 : 1; }

// The panel starts at `column` times the words of the matrix's depth.
struct Panel {
  int64_t column, width;
};

// Panels of so many columns. Rather than one of 16 at the end, which would leave registers idle, two of 32.
class PanelSequence {
 public:
  explicit PanelSequence(int64_t columns)
      : padded_columns_(round_up(columns, kPanelStep)),
        count_(divide_up(padded_columns_, kPanelColumns)),
        wide_(std::max<int64_t>(0, count_ - (count_ * kPanelColumns - padded_columns_) / kPanelStep)) {}

  int64_t padded_columns() const { return padded_columns_; }
  int64_t count() const { return count_; }

  Panel operator[](int64_t i) const {
    if (count_ == 1) return {0, padded_columns_};
    if (i < wide_) return {i * kPanelColumns, kPanelColumns};
    return {wide_ * kPanelColumns + (i - wide_) * (kPanelColumns - kPanelStep), kPanelColumns - kPanelStep};
  }

 private:
  int64_t padded_columns_, count_, wide_;
};

}  // namespace tersor::cpu
