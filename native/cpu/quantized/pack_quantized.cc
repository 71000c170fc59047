#include <cstring>
#include <limits>

#include "cpu/compress/affine.h"
#include "cpu/operations.h"
#include "cpu/quantized/layout.h"

namespace tersor::cpu {
namespace {

// Codes as unsigned numbers: i8 is moved up by 128, and its zero points with it.
class CodeReader {
 public:
  explicit CodeReader(const tersor_tensor* codes)
      : data_(data_of<const uint8_t>(codes)),
        bits_(bits_of(codes->dtype)),
        shift_(codes->dtype == TERSOR_I8 ? 128 : 0),
        stride_(row_bytes(codes->dtype, columns_of(codes))) {}

  int shift() const { return shift_; }
  int32_t highest() const { return (1 << bits_) - 1; }

  uint8_t at(int64_t row, int64_t column) const {
    const int64_t bit = column * bits_;
    const uint8_t* byte = data_ + row * stride_ + bit / 8;
    const int first = static_cast<int>(bit % 8);
    const uint32_t word = first + bits_ > 8 ? byte[0] | static_cast<uint32_t>(byte[1]) << 8 : byte[0];
    return static_cast<uint8_t>((word >> first & static_cast<uint32_t>(highest())) ^ static_cast<uint32_t>(shift_));
  }

 private:
  const uint8_t* data_;
  int bits_, shift_;
  int64_t stride_;
};

// Puts the code of the j-th k of a block and column i of its tile where layout.h says.
void place(int plane_bits, int64_t j, int64_t i, uint8_t code, uint8_t* codes) {
  const int64_t half = i / 16, byte = i % 16 * 4 + j % 4;
  if (plane_bits == 8) {
    codes[j / 4 * 128 + half * 64 + byte] = code;
  } else if (plane_bits == 4) {
    codes[j / 4 * 64 + byte] |= static_cast<uint8_t>(code << (half * 4));
  } else {
    codes[j / 8 * 64 + byte] |= static_cast<uint8_t>(code << (half * 2 + (j & 4)));
  }
}

template <typename T>
void write(uint8_t* to, int64_t i, T value) {
  std::memcpy(to + i * static_cast<int64_t>(sizeof value), &value, sizeof value);
}

}  // namespace

int64_t quantized_bytes(int64_t rows, int64_t columns, int32_t bits, int64_t group_size, int32_t has_offsets) {
  const PackedMatrix w = {nullptr, rows, columns, plane_bits_of(bits), group_size, has_offsets != 0};
  int64_t bytes;
  return __builtin_mul_overflow(w.tiles(), w.tile_bytes(), &bytes) ? std::numeric_limits<int64_t>::max() : bytes;
}

tersor_status pack_quantized(tersor_context* context, const tersor_tensor* codes, const tersor_affine* affine,
                             const tersor_tensor* packed) {
  const int64_t rows = rows_of(codes), columns = columns_of(codes);
  if (const tersor_status status = check_affine(context, affine, rows, columns); status != TERSOR_OK) return status;
  const CodeReader reader(codes);
  const bool has_offsets = affine->biases != nullptr;
  const PackedMatrix w = {nullptr,    rows, columns, plane_bits_of(bits_of(codes->dtype)), affine->group_size,
                          has_offsets};
  const int64_t codes_end = w.blocks_bytes();
  const int64_t tile_bytes = w.tile_bytes();
  // Counted from the middle code, an offset is small and little of it cancels against the sum of codes.
  const int32_t middle = (reader.highest() + 1) / 2;
  const AffineGroups groups(affine, columns);
  FirstPlace bad, bad_zero;
  const tersor_status status =
      for_chunks(context, w.tiles(), row_grain(8 * kTileColumns * columns), [&](int64_t begin, int64_t end) {
        for (int64_t tile = begin; tile < end; ++tile) {
          uint8_t* data = data_of<uint8_t>(packed) + tile * tile_bytes;
          std::memset(data, 0, static_cast<size_t>(tile_bytes));
          const int64_t first = tile * kTileColumns;
          w.for_blocks([&](int64_t block, int64_t k, int64_t depth, int64_t offset) {
            uint8_t* to = data + offset;
            for (int64_t i = 0; i < std::min(kTileColumns, rows - first); ++i) {
              const int64_t row = first + i;
              groups.for_columns(row, k, k + depth, bad, [&](const AffineGroup& group, int64_t, int64_t) {
                const int32_t zero = has_offsets ? middle : group.zero_point + reader.shift();
                if (zero < 0 || zero > reader.highest()) return bad_zero.report(row * columns + k);
                write(to, i, group.scale);
                write(to + kTileColumns * 4, i, static_cast<int16_t>(-zero));
                if (has_offsets) {
                  const double value = group.bias + double{group.scale} * (middle - reader.shift());
                  write(data + codes_end + block * kOffsetBytes, i, static_cast<float>(value));
                }
                for (int64_t j = 0; j < depth; ++j) {
                  place(w.plane_bits, j, i, reader.at(row, k + j), to + kBlockHeader);
                }
              });
            }
          });
        }
      });
  if (status != TERSOR_OK) return status;
  if (bad.found()) return groups.explain(context, bad);
  if (!bad_zero.found()) return TERSOR_OK;
  return fail(context, TERSOR_OUT_OF_RANGE, "expected zero points that are codes of %s, got another, at w[%lld, %lld]",
              name_of(codes->dtype), static_cast<long long>(bad_zero.place() / columns),
              static_cast<long long>(bad_zero.place() % columns));
}

}  // namespace tersor::cpu
