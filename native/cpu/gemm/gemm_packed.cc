// Products with a weight that was laid out once.
#include "cpu/gemm/gemm.h"
#include "cpu/gemm/gemm_layout.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

// The words of k of `count` columns (rows of w), kPanelStep with zeros, by squares that fit in L1.
template <typename Word, typename WordAt>
void pack_columns(int64_t words, int64_t count, WordAt word_at, Word* panel, int64_t width) {
  constexpr int64_t kSquare = 64;
  for (int64_t begin = 0; begin < words; begin += kSquare) {
    const int64_t end = std::min(words, begin + kSquare);
    for (int64_t j = 0; j < kPanelStep; ++j) {
      for (int64_t p = begin; p < end; ++p) panel[p * width + j] = j < count ? word_at(j, p) : Word{};
    }
  }
}

// word_at(column, word of k)
template <typename Word, typename WordAt>
tersor_status pack(tersor_context* context, int64_t columns, int64_t words, WordAt word_at, Word* panels) {
  const PanelSequence sequence(columns);
  return for_chunks(context, sequence.count(), row_grain(kPanelColumns * words), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Panel panel = sequence[i];
      for (int64_t j = 0; j < panel.width; j += kPanelStep) {
        const int64_t column = panel.column + j;
        pack_columns(
            words, columns - column, [&](int64_t lane, int64_t p) { return word_at(column + lane, p); },
            panels + panel.column * words + j, panel.width);
      }
    }
  });
}

}  // namespace

int64_t packed_elements(int64_t rows, int64_t cols, tersor_dtype) {
  return PanelSequence(rows).padded_columns() * cols;
}

tersor_status pack_gemm(tersor_context* context, const tersor_tensor* w, const tersor_tensor* panels) {
  const int64_t depth = w->shape[1];
  const auto at = [data = data_of<const float>(w), depth](int64_t column, int64_t p) {
    return data[column * depth + p];
  };
  return pack(context, w->shape[0], depth, at, data_of<float>(panels));
}

tersor_status gemm_packed(tersor_context* context, const tersor_tensor* x, const tersor_packed* w,
                          const tersor_epilogue* epilogue, const tersor_tensor* y) {
  const GemmArguments arguments = {
      .m = x->shape[0],
      .n = w->rows,
      .k = w->cols,
      .a = {data_of<const float>(x), w->cols, 1},
      .b = {},
      .panels = data_of<const float>(&w->panels),
      .c = data_of<float>(y),
      .epilogue = make_epilogue(epilogue, w->rows),
      .accumulate = false,
      .cancel = context->cancel,
  };
  return run_gemm(gemm_kernels.best(), arguments, context, "gemm_packed");
}

}  // namespace tersor::cpu
