// Products with a weight that was laid out once.
#include "cpu/gemm/gemm.h"
#include "cpu/gemm/gemm_layout.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

// kPanelStep rows of w side by side in a panel of `width`, by squares that fit in L1; zeros where fewer `count` are.
void pack_rows(const float* w, int64_t depth, int64_t count, float* panel, int64_t width) {
  constexpr int64_t kSquare = 64;
  for (int64_t begin = 0; begin < depth; begin += kSquare) {
    const int64_t end = std::min(depth, begin + kSquare);
    for (int64_t j = 0; j < kPanelStep; ++j) {
      for (int64_t p = begin; p < end; ++p) panel[p * width + j] = j < count ? w[j * depth + p] : 0.0f;
    }
  }
}

}  // namespace

int64_t packed_elements(int64_t rows, int64_t cols) { return PanelSequence(rows).padded_columns() * cols; }

tersor_status pack_gemm(tersor_context* context, const tersor_tensor* w, const tersor_tensor* panels) {
  const int64_t rows = w->shape[0], depth = w->shape[1];
  const PanelSequence sequence(rows);
  return for_chunks(context, sequence.count(), row_grain(kPanelColumns * depth), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Panel panel = sequence[i];
      for (int64_t j = 0; j < panel.width; j += kPanelStep) {
        const int64_t row = panel.column + j;
        pack_rows(data_of<const float>(w) + row * depth, depth, rows - row,
                  data_of<float>(panels) + panel.column * depth + j, panel.width);
      }
    }
  });
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
