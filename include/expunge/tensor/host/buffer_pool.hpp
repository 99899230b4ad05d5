// Reference-counted host memory from free lists by size class, so that a repeated computation allocates nothing, in huge pages where
// the system has them.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <string>
#include <utility>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "expunge/core/error.hpp"

namespace expunge::host {

/// Memory from the system from which buffers are cut one after the other; it goes back as a whole. The header is in front of it.
struct slab {
  std::size_t size, used, in_use = 0;  // bytes, bytes cut so far, buffers in use
  slab* next;
};

/// Memory for a tensor: the header sits in front of its 64-byte aligned bytes, or beside memory that somebody else owns.
struct buffer {
  std::atomic<std::int64_t> references{1};
  std::byte* data = nullptr;
  std::size_t size_class = 0;
  slab* home = nullptr;
  buffer* next = nullptr;
};

/// Free lists of buffers; each size class wastes at most a sixteenth. Its memory is kept until the process ends or
/// release_unused() is called. Safe to use from many threads.
class buffer_pool {
 public:
  static constexpr std::size_t alignment = 64;
  static constexpr std::size_t classes = 1024;
  static constexpr std::size_t external = classes;  // marks a buffer whose bytes are not ours

  static buffer_pool& instance() {
    static buffer_pool pool;
    return pool;
  }
  buffer_pool() = default;
  buffer_pool(const buffer_pool&) = delete;
  buffer_pool& operator=(const buffer_pool&) = delete;
  ~buffer_pool() { release_unused(); }

  /// Uninitialised memory of at least `bytes` bytes, with one reference. Throws expunge::out_of_memory.
  buffer* acquire(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const std::size_t size_class = class_of(bytes);
    buffer* found = nullptr;
    // Batches differ a little in their rows: one class more, so that they share buffers.
    for (const std::size_t c : {size_class, size_class + 1})
      if (found == nullptr && free_[c] != nullptr) found = std::exchange(free_[c], free_[c]->next);
    if (found == nullptr) found = cut(size_class);
    if (found == nullptr)
      throw out_of_memory("the system has no room for " + std::to_string(bytes) + " bytes beside " + std::to_string(in_use_) +
                          " in use; use smaller batches or a smaller model");
    found->references.store(1, std::memory_order_relaxed);
    ++found->home->in_use;
    in_use_ += capacity_of(found->size_class);
    peak_ = std::max(peak_, in_use_);
    return found;
  }

  /// A reference-counted handle to memory that must outlive it.
  static buffer* adopt(std::byte* data) {
    auto* made = new buffer;
    made->data = data;
    made->size_class = external;
    return made;
  }

  /// Gives back a buffer whose last reference is gone.
  void recycle(buffer* unused) {
    if (unused->size_class == external) {
      delete unused;
      return;
    }
    const std::lock_guard lock(mutex_);
    in_use_ -= capacity_of(unused->size_class);
    --unused->home->in_use;
    unused->next = std::exchange(free_[unused->size_class], unused);
  }

  /// Returns to the system the slabs of which no buffer is in use.
  void release_unused() {
    const std::lock_guard lock(mutex_);
    for (buffer*& list : free_) remove_if(list, [](const buffer& b) { return b.home->in_use == 0; }, [](buffer*) {});
    remove_if(slabs_, [](const slab& s) { return s.in_use == 0; }, [](slab* s) { ::operator delete(static_cast<void*>(s), std::align_val_t{huge_page}); });
  }

  /// How many buffers were made so far; constant in the steady state.
  [[nodiscard]] std::size_t allocations() const {
    const std::lock_guard lock(mutex_);
    return allocations_;
  }

  /// The most bytes that buffers in use had together since forget_peak().
  [[nodiscard]] std::size_t peak_bytes() const {
    const std::lock_guard lock(mutex_);
    return peak_;
  }
  void forget_peak() {
    const std::lock_guard lock(mutex_);
    peak_ = in_use_;
  }

 private:
  static constexpr std::size_t header_size = 64, huge_page = std::size_t{1} << 21;
  static_assert(sizeof(buffer) <= header_size && sizeof(slab) <= header_size);
#ifdef __SANITIZE_ADDRESS__
  static constexpr std::size_t slab_size = 0;  // a slab for each buffer, so that what is out of its range is seen
#else
  static constexpr std::size_t slab_size = 64 * huge_page;
#endif

  /// A new buffer of a class; null where the system has no room.
  buffer* cut(std::size_t size_class) {
    const std::size_t total = header_size + (capacity_of(size_class) + alignment - 1) / alignment * alignment;
    slab* home = slabs_;
    while (home != nullptr && home->size - home->used < total) home = home->next;
    if (home == nullptr) home = make_slab(std::max(slab_size, header_size + total));
    if (home == nullptr) return nullptr;
    std::byte* const memory = reinterpret_cast<std::byte*>(home) + std::exchange(home->used, home->used + total);
    auto* made = new (memory) buffer;
    made->data = memory + header_size;
    made->size_class = size_class;
    made->home = home;
    ++allocations_;
    return made;
  }
  slab* make_slab(std::size_t size) {
    void* const memory = ::operator new(size, std::align_val_t{huge_page}, std::nothrow);
    if (memory == nullptr) return nullptr;
#ifdef __linux__
    ::madvise(memory, size / huge_page * huge_page, MADV_HUGEPAGE);  // a hint; products read rows that lie far apart
#endif
    return slabs_ = new (memory) slab{size, header_size, 0, slabs_};
  }

  /// Takes out of a list what is `unwanted`, and calls `end` with it.
  template <class Item, class Unwanted, class End>
  static void remove_if(Item*& list, const Unwanted& unwanted, const End& end) {
    for (Item** at = &list; *at != nullptr;) {
      if (Item* const item = *at; unwanted(*item)) {
        *at = item->next;
        end(item);
      } else {
        at = &item->next;
      }
    }
  }

  // Sixteen classes an octave, from 64 bytes on: (16 + step) * 2^(octave + 2).
  static std::size_t class_of(std::size_t bytes) {
    if (bytes <= 64) return 0;
    const auto octave = static_cast<std::size_t>(std::bit_width(bytes - 1)) - 5;  // bytes - 1 in [16, 32) * 2^octave
    const std::size_t step = ((bytes - 1) >> octave) - 16;
    return (octave - 2) * 16 + step + 1;
  }
  static std::size_t capacity_of(std::size_t size_class) {
    return (16 + size_class % 16) << (2 + size_class / 16);
  }

  mutable std::mutex mutex_;
  std::array<buffer*, classes> free_{};
  slab* slabs_ = nullptr;
  std::size_t allocations_ = 0, in_use_ = 0, peak_ = 0;
};

}  // namespace expunge::host
