// Reference-counted host memory, so that a repeated computation asks the system for nothing: blocks of a few large slabs, split and merged
// as they are lent and given back (Knuth's boundary tags), in huge pages where the system has them.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <mutex>
#include <new>
#include <string>
#include <utility>

#ifdef __linux__
#include <sys/mman.h>
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#include "expunge/core/error.hpp"

namespace expunge::host {

/// Memory from the system, which goes back as a whole. Behind this header it is blocks without gaps.
struct slab {
  std::size_t size;           // bytes, with the header
  const std::byte* furthest;  // the end of the memory that was ever lent
  slab* next;
};

/// A block: the header sits in front of its 64-byte aligned bytes, or beside memory that somebody else owns.
struct buffer {
  std::atomic<std::int64_t> references{1};
  std::byte* data = nullptr;
  std::size_t size = 0;      // bytes up to the next block
  slab* home = nullptr;      // null where the bytes are not ours
  buffer* before = nullptr;  // the block in front of it
  buffer *next = nullptr, *previous = nullptr;  // in its free list
  bool free = false;
};

/// Lends the smallest free block that is large enough, to a sixteenth. Keeps its memory until the process ends or release_unused() is
/// called. Safe to use from many threads.
class buffer_pool {
 public:
  static constexpr std::size_t alignment = 64;

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
    const bool possible = bytes < std::numeric_limits<std::size_t>::max() / 2;
    const std::size_t size = possible ? (std::max<std::size_t>(bytes, 1) + red_zone + alignment - 1) / alignment * alignment : 0;
    buffer* const found = possible ? find(size) : nullptr;
    if (found == nullptr)
      throw out_of_memory("the system has no room for " + std::to_string(bytes) + " bytes beside " + std::to_string(in_use_) +
                          " in use; use smaller batches or a smaller model");
    unlist(*found);
    split(*found, size);
    found->references.store(1, std::memory_order_relaxed);
    watch(found->data, bytes, true);
    if (const std::byte* const end = found->data + size; end > found->home->furthest) {
      found->home->furthest = end;
      ++allocations_;
    }
    in_use_ += found->size;
    peak_ = std::max(peak_, in_use_);
    return found;
  }

  /// A reference-counted handle to memory that must outlive it.
  static buffer* adopt(std::byte* data) {
    auto* made = new buffer;
    made->data = data;
    return made;
  }

  /// Gives back a buffer whose last reference is gone.
  void recycle(buffer* unused) {
    if (unused->home == nullptr) {
      delete unused;
      return;
    }
    const std::lock_guard lock(mutex_);
    in_use_ -= unused->size;
    if (buffer* const after = behind(*unused); after != nullptr && after->free) {
      unlist(*after);
      merge(*unused, *after);
    }
    if (buffer* const before = unused->before; before != nullptr && before->free) {
      unlist(*before);
      merge(*before, *unused);
      unused = before;
    }
    list(*unused);
  }

  /// Returns to the system the slabs of which no buffer is in use.
  void release_unused() {
    const std::lock_guard lock(mutex_);
    for (slab** at = &slabs_; *at != nullptr;) {
      slab* const s = *at;
      if (buffer& first = *first_of(*s); first.free && behind(first) == nullptr) {
        unlist(first);
        *at = s->next;
        watch(first.data, first.size, true);
        ::operator delete(static_cast<void*>(s), std::align_val_t{huge_page});
      } else {
        at = &s->next;
      }
    }
  }

  /// How often memory was lent that never was before; constant in the steady state.
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
  static constexpr std::size_t header_size = 64, huge_page = std::size_t{1} << 21, classes = 1024;
  static_assert(sizeof(buffer) <= header_size && sizeof(slab) <= header_size);
  // Of a slab only what was lent takes memory, so that one may be large, and large buffers find room between small ones.
#ifdef __SANITIZE_ADDRESS__
  static constexpr std::size_t slab_size = 8 * huge_page, red_zone = alignment;
#else
  static constexpr std::size_t slab_size = 512 * huge_page, red_zone = 0;
#endif

  /// A free block of at least `size` bytes; null where the system has no room.
  buffer* find(std::size_t size) {
    for (std::size_t c = class_of(size); c < classes; ++c) {
      buffer* first = nullptr;  // in the order of addresses, so that memory that was lent before is lent again
      for (buffer* b = free_[c]; b != nullptr; b = b->next)
        if (b->size >= size && (first == nullptr || std::less<>{}(b, first))) first = b;
      if (first != nullptr) return first;
    }
    const std::size_t needed = 2 * header_size + size;
    buffer* const made = make_slab(std::max(slab_size, needed));
    return made == nullptr && needed < slab_size ? make_slab(needed) : made;
  }
  /// Its only block, free.
  buffer* make_slab(std::size_t size) {
    void* const memory = ::operator new(size, std::align_val_t{huge_page}, std::nothrow);
    if (memory == nullptr) return nullptr;
#ifdef __linux__
    ::madvise(memory, size / huge_page * huge_page, MADV_HUGEPAGE);  // a hint; products read rows that lie far apart
#endif
    slabs_ = new (memory) slab{size, nullptr, slabs_};
    return make_block(*slabs_, reinterpret_cast<std::byte*>(slabs_) + header_size, size - header_size, nullptr);
  }

  /// Cuts off what lies behind the first `size` bytes, where it is a block.
  void split(buffer& b, std::size_t size) {
    const std::size_t rest = b.size - size;
    if (rest < header_size + alignment) return;
    buffer* const after = behind(b);
    b.size = size;
    buffer* const made = make_block(*b.home, b.data + size, rest, &b);
    if (after != nullptr) after->before = made;
  }
  buffer* make_block(slab& home, std::byte* memory, std::size_t size, buffer* before) {
    watch(memory, header_size, true);
    auto* made = new (memory) buffer;
    made->data = memory + header_size;
    made->size = size - header_size;
    made->home = &home;
    made->before = before;
    list(*made);
    return made;
  }
  /// Makes one block of `b` and the one behind it.
  static void merge(buffer& b, const buffer& after) {
    b.size += header_size + after.size;
    if (buffer* const next = behind(b); next != nullptr) next->before = &b;
  }
  static buffer* first_of(slab& s) { return reinterpret_cast<buffer*>(reinterpret_cast<std::byte*>(&s) + header_size); }
  static buffer* behind(const buffer& b) {
    std::byte* const at = b.data + b.size;
    return at == reinterpret_cast<std::byte*>(b.home) + b.home->size ? nullptr : reinterpret_cast<buffer*>(at);
  }

  void list(buffer& b) {
    buffer*& head = free_[class_of(b.size)];
    b.free = true;
    b.previous = nullptr;
    b.next = head;
    if (head != nullptr) head->previous = &b;
    head = &b;
    watch(b.data, b.size, false);
  }
  void unlist(buffer& b) {
    (b.previous != nullptr ? b.previous->next : free_[class_of(b.size)]) = b.next;
    if (b.next != nullptr) b.next->previous = b.previous;
    b.free = false;
  }
  // Sixteen classes an octave, from 64 bytes on: each holds blocks of (16 + step) * 2^(octave + 2) bytes and more, up to the next.
  static std::size_t class_of(std::size_t size) {
    const auto octave = static_cast<std::size_t>(std::bit_width(size)) - 5;  // size in [16, 32) * 2^octave
    return (octave - 2) * 16 + (size >> octave) - 16;
  }

  /// Tells the address sanitizer whether these bytes may be touched.
  static void watch([[maybe_unused]] const std::byte* data, [[maybe_unused]] std::size_t size, [[maybe_unused]] bool lent) {
#ifdef __SANITIZE_ADDRESS__
    lent ? __asan_unpoison_memory_region(data, size) : __asan_poison_memory_region(data, size);
#endif
  }

  mutable std::mutex mutex_;
  std::array<buffer*, classes> free_{};
  slab* slabs_ = nullptr;
  std::size_t allocations_ = 0, in_use_ = 0, peak_ = 0;
};

}  // namespace expunge::host
