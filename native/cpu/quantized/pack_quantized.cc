#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "cpu/compress/affine.h"
#include "cpu/compress/codebook.h"
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
  // Counted from here, an offset is small and little of it cancels against the sum of codes.
  int32_t middle() const { return (highest() + 1) / 2; }

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
void place(int bits, int64_t j, int64_t i, uint8_t code, uint8_t* codes) {
  const int64_t step = j / 4, byte = i % 16 * 4 + j % 4;
  const int half = static_cast<int>(i / 16);
  if (bits == 3 && step % 4 == kSplitStep) {
    uint8_t* lines = codes + step / 4 * 192 + byte;
    lines[half * 64] |= static_cast<uint8_t>((code & 3) << kSplitLow);
    lines[128] |= static_cast<uint8_t>(code >> 2 << split_high(half));
    return;
  }
  const auto [line, shift] = code_place(bits, step, half);
  codes[line + byte] |= static_cast<uint8_t>(code << shift);
}

template <typename T>
void write(uint8_t* to, int64_t i, T value) {
  std::memcpy(to + i * static_cast<int64_t>(sizeof value), &value, sizeof value);
}

// Sums of up to 2^31 times such a scale, and such a scale over 16, are normal numbers.
bool is_moderate(float scale) { return scale >= 0x1p-64f && scale <= 0x1p64f; }

PackedHeader header_of(const CodeReader& reader, const tersor_affine& affine) {
  const float* scales = data_of<const float>(affine.scales);
  const int64_t count = elements_of(affine.scales);
  PackedHeader header = {};
  header.zero_point = reader.shift();
  header.moderate_scales = std::all_of(scales, scales + count, is_moderate);
  if (affine.biases != nullptr) {
    header.zero_point = reader.middle();
  } else if (affine.zero_points != nullptr && count > 0) {
    const int32_t* zeros = data_of<const int32_t>(affine.zero_points);
    const bool shared = std::all_of(zeros, zeros + count, [&](int32_t zero) { return zero == zeros[0]; });
    const int64_t zero = int64_t{zeros[0]} + reader.shift();
    header.zero_point = shared && zero >= 0 && zero <= reader.highest() ? static_cast<int32_t>(zero) : -1;
  }
  return header;
}

// Values of a codebook as they are and as int8, the largest of them as 127.
PackedHeader header_of(const tersor_codebook& codebook) {
  const float* values = data_of<const float>(codebook.values);
  const int64_t count = elements_of(codebook.values);
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(values[i]));
  const float* scales = data_of<const float>(codebook.scales);
  const bool moderate = std::all_of(scales, scales + elements_of(codebook.scales), is_moderate);
  PackedHeader header = {};
  header.zero_point = kCodebookZero;
  header.has_codebook = 1;
  header.unit = largest / 127;
  header.moderate_scales = moderate && header.unit >= 0x1p-16f && header.unit <= 0x1p16f;
  for (int i = 0; i < kCodebookSize; ++i) {
    const float value = values[i % count];
    const float step = header.moderate_scales == 1 ? round_half_even(value / header.unit) : 0;
    header.bytes[i] = static_cast<uint8_t>(static_cast<int>(step) + kCodebookZero);
    header.values[i] = value;
  }
  return header;
}

// Lays out checked parameters and codes.
tersor_status pack(tersor_context* context, const tersor_tensor* codes, const tersor_affine* affine,
                   const PackedHeader& header, const tersor_tensor* packed) {
  const int64_t rows = rows_of(codes), columns = columns_of(codes);
  const CodeReader reader(codes);
  const bool has_offsets = affine->biases != nullptr;
  const PackedMatrix w = {nullptr, rows, columns, bits_of(codes->dtype), affine->group_size, has_offsets};
  const int64_t codes_end = w.blocks_bytes();
  const int64_t tile_bytes = w.tile_bytes();
  std::memset(packed->data, 0, kPackedHeader);
  std::memcpy(packed->data, &header, sizeof header);
  const AffineGroups groups(affine, columns);
  FirstPlace bad, bad_zero;
  const tersor_status status =
      for_chunks(context, w.tiles(), row_grain(8 * kTileColumns * columns), [&](int64_t begin, int64_t end) {
        for (int64_t tile = begin; tile < end; ++tile) {
          uint8_t* data = data_of<uint8_t>(packed) + kPackedHeader + tile * tile_bytes;
          std::memset(data, 0, static_cast<size_t>(tile_bytes));
          const int64_t first = tile * kTileColumns;
          w.for_blocks([&](int64_t block, int64_t k, int64_t depth, int64_t offset) {
            uint8_t* to = data + offset;
            for (int64_t i = 0; i < std::min(kTileColumns, rows - first); ++i) {
              const int64_t row = first + i;
              groups.for_columns(row, k, k + depth, bad, [&](const AffineGroup& group, int64_t, int64_t) {
                const int32_t zero = has_offsets ? reader.middle() : group.zero_point + reader.shift();
                if (zero < 0 || zero > reader.highest()) return bad_zero.report(row * columns + k);
                write(to, i, group.scale);
                write(to + kTileColumns * 4, i, static_cast<int16_t>(-zero));
                if (has_offsets) {
                  const double value = group.bias + double{group.scale} * (reader.middle() - reader.shift());
                  write(data + codes_end + block * kOffsetBytes, i, static_cast<float>(value));
                }
                for (int64_t j = 0; j < depth; ++j) {
                  place(w.bits, j, i, reader.at(row, k + j), to + kBlockHeader);
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

}  // namespace

int64_t quantized_bytes(int64_t rows, int64_t columns, int32_t bits, int64_t group_size, int32_t has_offsets) {
  const PackedMatrix w = {nullptr, rows, columns, bits, group_size, has_offsets != 0};
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  int64_t bytes;
  return __builtin_mul_overflow(w.tiles(), w.tile_bytes(), &bytes) || bytes > kMost - kPackedHeader
             ? kMost
             : bytes + kPackedHeader;
}

tersor_status pack_quantized(tersor_context* context, const tersor_tensor* codes, const tersor_affine* affine,
                             const tersor_tensor* packed) {
  const tersor_status status = check_affine(context, affine, rows_of(codes), columns_of(codes));
  return status == TERSOR_OK ? pack(context, codes, affine, header_of(CodeReader(codes), *affine), packed) : status;
}

tersor_status pack_codebook(tersor_context* context, const tersor_tensor* codes, const tersor_codebook* codebook,
                            const tersor_tensor* packed) {
  const tersor_affine affine = affine_of(*codebook);
  tersor_status status = check_affine(context, &affine, rows_of(codes), columns_of(codes));
  if (status == TERSOR_OK) status = check_codebook(context, *codebook);
  return status == TERSOR_OK ? pack(context, codes, &affine, header_of(*codebook), packed) : status;
}

}  // namespace tersor::cpu
