#include <cstring>
#include <limits>
#include <new>
#include <vector>

#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/sparse/csr_check.h"
#include "cpu/sparse/csr_layout.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

// Activations of a block fit the L1 cache beside the slots that stream past: 128 units of 64 activations or 256 of 32.
// The first makes more of every slot, the second cuts rows with few units into fewer pieces.
constexpr int32_t kShortBlock = 128, kLongBlock = 256;
constexpr double kLongBlockDensity = 0.18;  // at most

// Enough chunks for threads to share, each with enough rows to sort into groups of equal length.
constexpr int64_t kChunks = 8;
constexpr int64_t kFewestRows = 256, kMostRows = 1024;  // kFewestRows when there are two chunks of it
constexpr int64_t kRowCost = 8;                         // of a row without nonzeros, in nonzeros

// The units of one row in one block: nonzeros [first, first + nonzeros).
struct Segment {
  int64_t block;
  uint32_t units, row, first, nonzeros;
};

int64_t exact_row_limit(tersor_dtype dtype) {
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  return dtype == TERSOR_I8 || dtype == TERSOR_U4 ? int64_t{TERSOR_LONGEST_INT8_SUM} : most;
}

CsrWords words_of(tersor_dtype dtype) {
  if (dtype == TERSOR_I8) return CsrWords::i8;
  if (dtype == TERSOR_U4) return CsrWords::i4;
  return dtype == TERSOR_F32 ? CsrWords::f32 : CsrWords::places;
}

class CsrPacker {
 public:
  explicit CsrPacker(const tersor_csr* w)
      : offsets_(data_of<const uint32_t>(&w->row_offsets)),
        columns_(data_of<const uint32_t>(&w->columns)),
        values_(w->values),
        header_{.magic = kCsrMagic,
                .bytes = 0,
                .rows = w->rows,
                .cols = w->cols,
                .nonzeros = elements_of(&w->values),
                .words = words_of(w->values.dtype),
                .depth = 0,
                .chunks = 0,
                .most_rows = 0} {}

  // Decides where everything goes.
  tersor_status plan(tersor_context* context) {
    choose_depth();
    cut_rows();
    header_.chunks = static_cast<int64_t>(chunks_.size());
    std::vector<int64_t> bytes(chunks_.size());
    const tersor_status status =
        for_each_chunk(context, [&](int64_t c) { bytes[static_cast<size_t>(c)] = measure(c); });
    if (status != TERSOR_OK) return status;
    header_.bytes = static_cast<int64_t>(sizeof(CsrHeader) + chunks_.size() * sizeof(CsrChunk));
    for (size_t c = 0; c < chunks_.size(); ++c) {
      chunks_[c].blocks_at = header_.bytes;
      header_.bytes += bytes[c];
    }
    return TERSOR_OK;
  }

  int64_t bytes() const { return header_.bytes; }

  tersor_status write(tersor_context* context, uint8_t* data) const {
    std::memcpy(data, &header_, sizeof header_);
    if (!chunks_.empty()) std::memcpy(data + sizeof header_, chunks_.data(), chunks_.size() * sizeof(CsrChunk));
    return for_each_chunk(context, [&](int64_t c) { write_chunk(c, data); });
  }

 private:
  // In parallel; the lists that a chunk is sorted in may not fit in memory.
  template <typename Body>
  tersor_status for_each_chunk(tersor_context* context, Body&& body) const {
    const auto try_chunk = [&](int64_t chunk, int64_t) {
      try {
        body(chunk);
        return true;
      } catch (const std::bad_alloc&) {
        return false;
      }
    };
    return for_chunks_with_memory(context, header_.chunks, 1, try_chunk, [&] {
      return fail(context, TERSOR_OUT_OF_MEMORY, "expected memory to sort the nonzeros in, got none");
    });
  }

  int64_t unit_of(uint32_t nonzero) const { return columns_[nonzero] / header_.unit_columns(); }

  void choose_depth() {
    const double units = std::max(1.0, static_cast<double>(header_.rows) * static_cast<double>(header_.cols) /
                                           static_cast<double>(header_.unit_columns()));
    // Of four columns one nonzero is enough; when they are few, it seldom is more.
    const double density = static_cast<double>(header_.nonzeros) / units;
    header_.depth = density > kLongBlockDensity ? kShortBlock : kLongBlock;
  }

  // Chunks of about equal cost, of rows that fill cache lines of y.
  void cut_rows() {
    constexpr int64_t step = kCsrLanes;
    const int64_t half = (header_.rows / 2 + step - 1) / step * step;
    const int64_t rows = std::clamp(header_.rows / kChunks, std::clamp(half, step, kFewestRows), kMostRows);
    const int64_t count = std::max<int64_t>(1, header_.rows / rows);
    const int64_t target = (header_.nonzeros + kRowCost * header_.rows) / count;
    int64_t first = 0;
    for (int64_t row = 0; row < header_.rows;) {
      row = std::min(row + step, header_.rows);
      const int64_t cost = int64_t{offsets_[row]} - offsets_[first] + kRowCost * (row - first);
      if (cost < target && row - first + step <= kMostRows && row < header_.rows) continue;
      chunks_.push_back({.row = first, .rows = row - first, .blocks_at = 0, .blocks = 0});
      header_.most_rows = std::max(header_.most_rows, row - first);
      first = row;
    }
  }

  // The units of a chunk: by block, short rows first.
  std::vector<Segment> segments_of(const CsrChunk& chunk) const {
    std::vector<Segment> segments;
    for (int64_t row = 0; row < chunk.rows; ++row) {
      const uint32_t last = offsets_[chunk.row + row + 1];
      int64_t unit = -1;
      for (uint32_t j = offsets_[chunk.row + row], first = j; j < last; ++j) {
        const int64_t next = unit_of(j), block = next / header_.depth;
        if (j == first || segments.back().block != block) {
          segments.push_back(
              {.block = block, .units = 0, .row = static_cast<uint32_t>(row), .first = j, .nonzeros = 0});
          unit = -1;
        }
        Segment& segment = segments.back();
        segment.nonzeros += 1;
        segment.units += next != unit ? 1 : 0;
        unit = next;
      }
    }
    std::sort(segments.begin(), segments.end(), [](const Segment& a, const Segment& b) {
      if (a.block != b.block) return a.block < b.block;
      return a.units != b.units ? a.units < b.units : a.row < b.row;
    });
    return segments;
  }

  // body(segments of a group, count, whether they begin a block). A group that is not full is a block's first, whose
  // rows are the shortest.
  template <typename Body>
  static void for_groups(const std::vector<Segment>& segments, Body&& body) {
    for (size_t begin = 0; begin < segments.size();) {
      size_t end = begin;
      while (end < segments.size() && segments[end].block == segments[begin].block) ++end;
      const size_t count = (end - begin - 1) % kCsrLanes + 1;
      body(&segments[begin], count, true);
      for (begin += count; begin < end; begin += kCsrLanes) body(&segments[begin], size_t{kCsrLanes}, false);
    }
  }

  // Bytes of a chunk's blocks, groups and slots; writes down how many blocks it has.
  int64_t measure(int64_t c) {
    CsrChunk& chunk = chunks_[static_cast<size_t>(c)];
    int64_t groups = 0, slots = 0;
    for_groups(segments_of(chunk), [&](const Segment* group, size_t count, bool begins_block) {
      chunk.blocks += begins_block ? 1 : 0;
      groups += 1;
      slots += group[count - 1].units;
    });
    return slots_from(chunk.blocks, groups) + slots * header_.slot_bytes();
  }

  // Where a chunk's slots begin, from its start: no load of a quarter of a slot crosses a cache line.
  static int64_t slots_from(int64_t blocks, int64_t groups) {
    constexpr int64_t alignment = 32;
    const int64_t bytes = blocks * int64_t{sizeof(CsrBlock)} + groups * int64_t{sizeof(CsrGroup)};
    return (bytes + alignment - 1) / alignment * alignment;
  }

  void write_chunk(int64_t c, uint8_t* data) const {
    const CsrChunk& chunk = chunks_[static_cast<size_t>(c)];
    const std::vector<Segment> segments = segments_of(chunk);
    int64_t groups = 0;
    for_groups(segments, [&](const Segment*, size_t, bool) { groups += 1; });
    auto* block = reinterpret_cast<CsrBlock*>(data + chunk.blocks_at) - 1;
    int64_t group_at = chunk.blocks_at + chunk.blocks * int64_t{sizeof(CsrBlock)};
    int64_t slots_at = chunk.blocks_at + slots_from(chunk.blocks, groups);
    for_groups(segments, [&](const Segment* lanes, size_t count, bool begins_block) {
      if (begins_block) *++block = {.block = lanes->block, .groups_at = group_at, .groups = 0};
      block->groups += 1;
      CsrGroup group{.slots_at = slots_at, .slots = lanes[count - 1].units, .rows = {}};
      for (size_t i = 0; i < kCsrLanes; ++i) {
        group.rows[i] = static_cast<uint16_t>(i < count ? lanes[i].row : chunk.rows);
        write_lane(i < count ? &lanes[i] : nullptr, group.slots, data + slots_at, i);
      }
      std::memcpy(data + group_at, &group, sizeof group);
      group_at += int64_t{sizeof group};
      slots_at += group.slots * header_.slot_bytes();
    });
  }

  // The units of one lane, then zeros.
  void write_lane(const Segment* segment, int64_t slots, uint8_t* to, size_t lane) const {
    const auto write = [&](int64_t slot, int64_t unit, uint32_t value) {
      const auto offset = static_cast<uint16_t>(unit * kCsrWordBytes);
      uint8_t* start = to + slot * header_.slot_bytes();
      std::memcpy(start + 2 * lane, &offset, sizeof offset);
      if (header_.words == CsrWords::i4) {
        write_short(value, start + kCsrSlotValues, lane);
      } else {
        std::memcpy(start + kCsrSlotValues + 4 * lane, &value, sizeof value);
      }
    };
    int64_t slot = 0;
    if (segment != nullptr) {
      const int64_t first_unit = segment->block * header_.depth;
      const uint32_t end = segment->first + segment->nonzeros;
      for (uint32_t j = segment->first; j < end; ++slot) {
        const int64_t unit = unit_of(j);
        uint32_t word = 0;
        for (; j < end && unit_of(j) == unit; ++j) word |= word_of(j);
        write(slot, unit - first_unit, word);
      }
    }
    for (; slot < slots; ++slot) write(slot, header_.depth, 0);
  }

  // Four integers, where the lanes before have written theirs.
  static void write_short(uint32_t word, uint8_t* values, size_t lane) {
    for (size_t k = 0; k < 4; ++k) {
      const auto bits = static_cast<uint8_t>(((word >> (8 * k)) + 8) & 15);
      uint8_t& byte = values[lane % 8 * 4 + k];
      byte = lane < 8 ? bits : static_cast<uint8_t>(byte | bits << 4);
    }
  }

  // A nonzero at its place in its unit.
  uint32_t word_of(uint32_t nonzero) const {
    const auto in_place = [&](int integer) {
      return static_cast<uint32_t>(static_cast<uint8_t>(integer)) << (8 * (columns_[nonzero] % 4));
    };
    if (values_.dtype == TERSOR_I8) return in_place(data_of<const int8_t>(&values_)[nonzero]);
    if (values_.dtype == TERSOR_U4) {
      const int pair = data_of<const uint8_t>(&values_)[nonzero / 2];
      return in_place((nonzero % 2 == 0 ? pair & 15 : pair >> 4) - 8);
    }
    uint32_t word;
    std::memcpy(&word, data_of<const uint8_t>(&values_) + nonzero * sizeof word, sizeof word);
    return word;
  }

  const uint32_t* offsets_;
  const uint32_t* columns_;
  tersor_tensor values_;
  CsrHeader header_;
  std::vector<CsrChunk> chunks_;
};

}  // namespace

tersor_status csr_packed_bytes(tersor_context* context, const tersor_csr* w, const tersor_tensor* bytes) {
  if (const tersor_status status = check_csr(context, w, exact_row_limit(w->values.dtype)); status != TERSOR_OK) {
    return status;
  }
  CsrPacker packer(w);
  if (const tersor_status status = packer.plan(context); status != TERSOR_OK) return status;
  *data_of<int64_t>(bytes) = packer.bytes();
  return TERSOR_OK;
}

tersor_status pack_csr(tersor_context* context, const tersor_csr* w, const tersor_tensor* packed) {
  if (const tersor_status status = check_csr(context, w, exact_row_limit(w->values.dtype)); status != TERSOR_OK) {
    return status;
  }
  CsrPacker packer(w);
  if (const tersor_status status = packer.plan(context); status != TERSOR_OK) return status;
  if (packer.bytes() != elements_of(packed)) {
    return fail(context, TERSOR_INVALID_SHAPE, "expected %lld bytes for the packed weight, got %lld",
                static_cast<long long>(packer.bytes()), static_cast<long long>(elements_of(packed)));
  }
  return packer.write(context, data_of<uint8_t>(packed));
}

}  // namespace tersor::cpu
