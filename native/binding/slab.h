// Objects at fixed addresses, which can be told from any other pointer without reading what it points to: what makes a
// foreign external an error instead of a wild pointer. Cheaper than a set of addresses beside the heap, because a
// program makes and drops a tensor for every operation.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <unordered_set>
#include <utility>
#include <vector>

namespace tersor::binding {

template <typename Object>
class Slab {
 public:
  Slab() = default;
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  ~Slab() {
    for (Block* block : blocks_) {
      for (size_t i = 0; i < kObjects; ++i) {
        if (block->used[i]) block->at(i)->~Object();
      }
      block->~Block();
      ::operator delete(block, std::align_val_t(kBlockBytes));
    }
  }

  // Throws std::bad_alloc.
  template <typename... Arguments>
  Object* make(Arguments&&... arguments) {
    if (free_.empty()) grow();
    Object* object = free_.back();
    new (object) Object{std::forward<Arguments>(arguments)...};
    free_.pop_back();
    const Place place = place_of(object);
    place.block->used.set(place.index);
    return object;
  }

  void destroy(Object* object) {
    const Place place = place_of(object);
    place.block->used.reset(place.index);
    object->~Object();
    free_.push_back(object);  // never allocates: grow() reserved
  }

  // The object at this address, or null when none of ours is there.
  Object* find(void* address) const {
    const auto block = reinterpret_cast<Block*>(reinterpret_cast<uintptr_t>(address) & ~(kBlockBytes - 1));
    if (!blocks_.contains(block)) return nullptr;
    const auto offset = static_cast<size_t>(static_cast<std::byte*>(address) - block->memory);
    const size_t index = offset / sizeof(Object);
    return offset % sizeof(Object) == 0 && index < kObjects && block->used[index] ? block->at(index) : nullptr;
  }

 private:
  static constexpr uintptr_t kBlockBytes = 1 << 16;
  static constexpr size_t kObjects = (kBlockBytes - kBlockBytes / 64) / sizeof(Object);

  struct Block {
    std::bitset<kObjects> used;
    alignas(Object) std::byte memory[kObjects * sizeof(Object)];
    Object* at(size_t i) { return std::launder(reinterpret_cast<Object*>(memory + i * sizeof(Object))); }
  };
  static_assert(sizeof(Block) <= kBlockBytes);

  struct Place {
    Block* block;
    size_t index;
  };

  static Place place_of(Object* object) {
    auto* block = reinterpret_cast<Block*>(reinterpret_cast<uintptr_t>(object) & ~(kBlockBytes - 1));
    return {block, static_cast<size_t>(reinterpret_cast<std::byte*>(object) - block->memory) / sizeof(Object)};
  }

  void grow() {
    free_.reserve((blocks_.size() + 1) * kObjects);
    auto* block = new (::operator new(sizeof(Block), std::align_val_t(kBlockBytes))) Block{};
    try {
      blocks_.insert(block);
    } catch (...) {
      block->~Block();
      ::operator delete(block, std::align_val_t(kBlockBytes));
      throw;
    }
    for (size_t i = kObjects; i-- > 0;) free_.push_back(reinterpret_cast<Object*>(block->memory + i * sizeof(Object)));
  }

  std::unordered_set<Block*> blocks_;
  std::vector<Object*> free_;
};

}  // namespace tersor::binding
