// Products with a weight that was laid out once.
#include "cpu/gemm/gemm.h"
#include "cpu/gemm/gemm_layout.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

// kPanelStep rows of w side by side in a panel of `width`, kPerWord numbers of a row together, by squares that fit in
// L1; zeros where fewer `count` are and behind the last k.
template <typename T, int64_t kPerWord>
void pack_rows(const T* w, int64_t depth, int64_t count, T* panel, int64_t width) {
  constexpr int64_t kSquare = 64;
  const int64_t padded = round_up(depth, kPerWord);
  for (int64_t begin = 0; begin < padded; begin += kSquare) {
    const int64_t end = std::min(padded, begin + kSquare);
    for (int64_t j = 0; j < kPanelStep; ++j) {
      for (int64_t p = begin; p < end; ++p) {
        panel[(p / kPerWord * width + j) * kPerWord + p % kPerWord] = j < count && p < depth ? w[j * depth + p] : T{0};
      }
    }
  }
}

template <typename T, int64_t kPerWord>
tersor_status pack_panels(tersor_context* context, const tersor_tensor* w, const tersor_tensor* panels) {
  const int64_t rows = w->shape[0], depth = w->shape[1], padded = round_up(depth, kPerWord);
  const PanelSequence sequence(rows);
  return for_chunks(context, sequence.count(), row_grain(kPanelColumns * depth), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Panel panel = sequence[i];
      for (int64_t j = 0; j < panel.width; j += kPanelStep) {
        const int64_t row = panel.column + j;
        pack_rows<T, kPerWord>(data_of<const T>(w) + row * depth, depth, rows - row,
                               data_of<T>(panels) + panel.column * padded + j * kPerWord, panel.width);
      }
    }
  });
}

}  // namespace

int64_t packed_elements(int64_t rows, int64_t cols, tersor_dtype dtype) {
  return PanelSequence(rows).padded_columns() * round_up(cols, numbers_per_word(dtype == TERSOR_BF16));
}

tersor_status pack_gemm(tersor_context* context, const tersor_tensor* w, const tersor_tensor* panels) {
  if (w->dtype == TERSOR_BF16) return pack_panels<uint16_t, numbers_per_word(true)>(context, w, panels);
  return pack_panels<float, numbers_per_word(false)>(context, w, panels);
}

tersor_status gemm_packed(tersor_context* context, const tersor_tensor* x, const tersor_packed* w,
                          const tersor_epilogue* epilogue, const tersor_tensor* y) {
  return multiply_packed(context, x, w, make_epilogue(epilogue, w->rows), y);
}

tersor_status multiply_packed(tersor_context* context, const tersor_tensor* x, const tersor_packed* w,
                              const Epilogue& epilogue, const tersor_tensor* y) {
  const GemmArguments arguments = {
      .m = x->shape[0],
      .n = w->rows,
      .k = w->cols,
      .a = {data_of<const float>(x), w->cols, 1},
      .b = {},
      .panels = data_of<const float>(&w->panels),
      .bf16_panels = w->panels.dtype == TERSOR_BF16,
      .c = data_of<float>(y),
      .epilogue = epilogue,
      .accumulate = false,
      .cancel = context->cancel,
  };
  return run_gemm(gemm_kernels.best(), arguments, context, "gemm_packed");
}

}  // namespace tersor::cpu
