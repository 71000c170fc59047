// Block positions come from files; one wrong column would read anywhere.
#include "backend/fail.h"
#include "cpu/sparse/block_gemm.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

// Whether columns ascend and lie below `width`, which an i32 can say: by signs of differences and no way out of the
// loop, so that it vectorises.
bool are_ascending(const uint32_t* columns, int64_t count, int64_t width) {
  if (count == 0) return true;
  uint32_t signs = columns[0];
  for (int64_t b = 1; b < count; ++b) signs |= columns[b] | (columns[b] - columns[b - 1] - 1);
  return signs >> 31 == 0 && columns[count - 1] < width;
}

}  // namespace

tersor_status check_blocks(tersor_context* context, const tersor_blocks* w) {
  const int64_t count = elements_of(&w->columns), panels = elements_of(&w->panel_offsets) - 1;
  const auto* offsets = data_of<const uint32_t>(&w->panel_offsets);
  const auto* columns = data_of<const uint32_t>(&w->columns);
  const int64_t width = (w->cols + w->block_cols - 1) / w->block_cols;
  if (offsets[0] != 0) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected 0, got %u, at panel_offsets[0]", offsets[0]);
  }
  for (int64_t panel = 0; panel < panels; ++panel) {
    const uint32_t begin = offsets[panel], end = offsets[panel + 1];
    if (end < begin || end > count) {
      return fail(context, TERSOR_OUT_OF_RANGE, "expected an offset in [%u, %lld], got %u, at panel_offsets[%lld]",
                  begin, static_cast<long long>(count), end, static_cast<long long>(panel + 1));
    }
    if (are_ascending(columns + begin, end - begin, width)) continue;
    int64_t lowest = 0;
    for (uint32_t b = begin; b < end; ++b) {
      if (columns[b] < lowest || columns[b] >= width) {
        return fail(context, TERSOR_OUT_OF_RANGE, "expected a block column in [%lld, %lld), got %u, at columns[%u]",
                    static_cast<long long>(lowest), static_cast<long long>(width), columns[b], b);
      }
      lowest = int64_t{columns[b]} + 1;
    }
  }
  if (offsets[panels] != count) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected %lld, the number of blocks, got %u, at panel_offsets[%lld]",
                static_cast<long long>(count), offsets[panels], static_cast<long long>(panels));
  }
  return TERSOR_OK;
}

}  // namespace tersor::cpu
