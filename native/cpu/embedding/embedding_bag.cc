#include <algorithm>

#include "backend/fail.h"
#include "cpu/embedding/bag.h"
#include "cpu/embedding/bags.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

// clang-format off
#if TERSOR_X86
#define TERSOR_BAG_KERNELS(format) \
  {"bag_" #format "_avx512", Isa::avx512, bag_##format##_avx512}, \
  {"bag_" #format "_avx2", Isa::avx2, bag_##format##_avx2}, \
  {"bag_" #format "_scalar", Isa::scalar, bag_##format##_scalar}
#elif TERSOR_ARM
#define TERSOR_BAG_KERNELS(format) \
  {"bag_" #format "_neon", Isa::neon, bag_##format##_neon}, \
  {"bag_" #format "_scalar", Isa::scalar, bag_##format##_scalar}
#else
#define TERSOR_BAG_KERNELS(format) {"bag_" #format "_scalar", Isa::scalar, bag_##format##_scalar}
#endif
// clang-format on

const KernelList<BagKernel> f32_kernels("embedding_bag f32", {TERSOR_BAG_KERNELS(f32)});
const KernelList<BagKernel> f16_kernels("embedding_bag f16", {TERSOR_BAG_KERNELS(f16)});
const KernelList<BagKernel> bf16_kernels("embedding_bag bf16", {TERSOR_BAG_KERNELS(bf16)});
const KernelList<BagKernel> int8_kernels("embedding_bag int8", {TERSOR_BAG_KERNELS(int8)});
const KernelList<BagKernel> int4_kernels("embedding_bag int4", {TERSOR_BAG_KERNELS(int4)});
const KernelList<BagKernel> int2_kernels("embedding_bag int2", {TERSOR_BAG_KERNELS(int2)});

#undef TERSOR_BAG_KERNELS

// Some 20 us of look-ups.
constexpr int64_t kBytesPerChunk = int64_t{1} << 17;

}  // namespace

const KernelList<BagKernel>& bag_kernels(BagFormat format) {
  switch (format) {
    case BagFormat::f32:
      return f32_kernels;
    case BagFormat::f16:
      return f16_kernels;
    case BagFormat::bf16:
      return bf16_kernels;
    case BagFormat::int8:
      return int8_kernels;
    case BagFormat::int4:
      return int4_kernels;
    default:
      return int2_kernels;
  }
}

BagFormat format_of(const tersor_embedding& table) {
  switch (table.rows.dtype) {
    case TERSOR_F32:
      return BagFormat::f32;
    case TERSOR_F16:
      return BagFormat::f16;
    case TERSOR_BF16:
      return BagFormat::bf16;
    default:
      return table.bits == 8 ? BagFormat::int8 : table.bits == 4 ? BagFormat::int4 : BagFormat::int2;
  }
}

tersor_status embedding_bag_with(BagKernel* kernel, tersor_context* context, const tersor_embedding* table,
                                 const tersor_bags* bags, const tersor_tensor* y) {
  const int64_t count = bag_count(bags), ids = elements_of(bags->ids), rows = rows_of(&table->rows);
  void* memory = nullptr;
  if (const tersor_status status = scratch(context, static_cast<size_t>(count + 2) * sizeof(int64_t), &memory);
      status != TERSOR_OK) {
    return status;
  }
  auto* bounds = static_cast<int64_t*>(memory);
  if (const tersor_status status = check_bags(context, bags, rows, bounds); status != TERSOR_OK) return status;
  if (bags->weights != nullptr && bags->mode != TERSOR_BAG_SUM) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected no weights unless rows are summed, got some, at mode %d",
                static_cast<int>(bags->mode));
  }
  const int64_t bytes = row_bytes(table->rows.dtype, columns_of(&table->rows));
  const bool is_long = bytes > kLongRowBytes;
  const BagTable view{data_of<const uint8_t>(&table->rows), bytes, table->columns,
                      is_long ? kLongRowsAhead : kRowsAhead, is_long};
  const Bags look_ups{data_of<const int32_t>(bags->ids), ids, bounds,
                      bags->weights == nullptr ? nullptr : data_of<const float>(bags->weights), bags->mode};
  if (table->columns == 0) return TERSOR_OK;
  const int64_t bytes_per_bag = (ids * view.row_bytes + view.columns * 4) / std::max<int64_t>(1, count) + 1;
  return for_chunks(context, count, std::max<int64_t>(1, kBytesPerChunk / bytes_per_bag),
                    [&](int64_t begin, int64_t end) { kernel(view, look_ups, begin, end, data_of<float>(y)); });
}

tersor_status embedding_bag(tersor_context* context, const tersor_embedding* table, const tersor_bags* bags,
                            const tersor_tensor* y) {
  return embedding_bag_with(bag_kernels(format_of(*table)).best(), context, table, bags, y);
}

}  // namespace tersor::cpu
