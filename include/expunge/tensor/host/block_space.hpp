// Blocks of memory cut from a few large slabs, split and merged as they are lent and given back (Knuth's boundary tags), in huge pages
// where the system has them.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace expunge::host {

class block_space;
struct buffer;

/// Memory from the system, which goes back as a whole. Behind this header it is blocks without gaps, up to what was never lent.
struct slab {
  block_space* space;
  std::size_t size, used;  // bytes, with the header
  buffer* last;
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

/// Lends the smallest free block that is large enough, to a sixteenth. Not for several threads at once.
class block_space {
 public:
  static constexpr std::size_t alignment = 64, huge_page = std::size_t{1} << 21;

  /// Only what was lent of a slab takes memory, so that slabs may be large.
  explicit block_space(std::size_t slab_size) : slab_size_(slab_size) {}
  block_space(const block_space&) = delete;
  block_space& operator=(const block_space&) = delete;
  ~block_space() { release_unused(); }

  /// At least `bytes` bytes; null where the system has no room.
  buffer* take(std::size_t bytes) {
    const std::size_t size = size_of(bytes);
    buffer* found = find(size);
    if (found != nullptr) {
      unlist(*found);
      split(*found, size);
    } else {
      found = extend(size);
    }
    if (found != nullptr) watch(found->data, bytes, true);
    return found;
  }

  void give_back(buffer* unused) {
    merge_behind(*unused);
    if (buffer* const before = unused->before; before != nullptr && before->free) {
      unlist(*before);
      unused = before;
      merge(*before);
    }
    list(*unused);
  }

  /// Gives back what lies behind the first `bytes` of a block.
  void shrink(buffer& b, std::size_t bytes) {
    split(b, size_of(bytes));
    watch(b.data, bytes, true);
  }

  /// Returns to the system the slabs of which no block is lent.
  void release_unused() {
    for (slab** at = &slabs_; *at != nullptr;) {
      slab* const s = *at;
      if (buffer& last = *s->last; last.free && last.before == nullptr) {
        unlist(last);
        *at = s->next;
        watch(last.data, last.size, true);
        ::operator delete(static_cast<void*>(s), std::align_val_t{huge_page});
      } else {
        at = &s->next;
      }
    }
  }

  /// How often memory was lent that never was before.
  [[nodiscard]] std::size_t extensions() const { return extensions_; }

 private:
  static constexpr std::size_t header_size = 64, classes = 1024;
  static_assert(sizeof(buffer) <= header_size && sizeof(slab) <= header_size);
#ifdef __SANITIZE_ADDRESS__
  static constexpr std::size_t red_zone = alignment;
#else
  static constexpr std::size_t red_zone = 0;
#endif

  static std::size_t size_of(std::size_t bytes) {
    return (std::max<std::size_t>(bytes, 1) + red_zone + alignment - 1) / alignment * alignment;
  }

  buffer* find(std::size_t size) {
    for (std::size_t c = class_of(size); c < classes; ++c) {
      buffer* first = nullptr;  // in the order of addresses, so that memory that was lent before is lent again
      for (buffer* b = free_[c]; b != nullptr; b = b->next)
        if (b->size >= size && (first == nullptr || std::less<>{}(b, first))) first = b;
      if (first != nullptr) return first;
    }
    return nullptr;
  }

  /// A block that ends in memory that was never lent.
  buffer* extend(std::size_t size) {
    slab* home = slabs_;
    while (home != nullptr && home->size - home->used < missing(*home, size)) home = home->next;
    const std::size_t alone = 2 * header_size + size;
    if (home == nullptr) home = make_slab(std::max(slab_size_, alone));
    if (home == nullptr && alone < slab_size_) home = make_slab(alone);
    if (home == nullptr) return nullptr;
    ++extensions_;
    std::byte* const end = reinterpret_cast<std::byte*>(home) + home->used;
    home->used += missing(*home, size);
    if (buffer* const last = home->last; last != nullptr && last->free) {
      unlist(*last);
      last->size = size;
      return last;
    }
    return home->last = make_block(*home, end, header_size + size, home->last);
  }
  /// What a slab's last block, if it is free, or a new one behind it lacks to have this size.
  static std::size_t missing(const slab& s, std::size_t size) {
    return s.last != nullptr && s.last->free ? size - s.last->size : header_size + size;
  }
  slab* make_slab(std::size_t size) {
    void* const memory = ::operator new(size, std::align_val_t{huge_page}, std::nothrow);
    if (memory == nullptr) return nullptr;
#ifdef __linux__
    ::madvise(memory, size / huge_page * huge_page, MADV_HUGEPAGE);  // a hint; products read rows that lie far apart
#endif
    return slabs_ = new (memory) slab{this, size, header_size, nullptr, slabs_};
  }

  /// Makes what lies behind the first `size` bytes a free block, where it is large enough for one.
  void split(buffer& b, std::size_t size) {
    const std::size_t rest = b.size - size;
    if (rest < header_size + alignment) return;
    buffer* const after = behind(b);
    b.size = size;
    buffer* const made = make_block(*b.home, b.data + size, rest, &b);
    (after != nullptr ? after->before : b.home->last) = made;
    merge_behind(*made);
    list(*made);
  }
  static buffer* make_block(slab& home, std::byte* memory, std::size_t size, buffer* before) {
    watch(memory, header_size, true);
    auto* made = new (memory) buffer;
    made->data = memory + header_size;
    made->size = size - header_size;
    made->home = &home;
    made->before = before;
    return made;
  }
  void merge_behind(buffer& b) {
    if (buffer* const after = behind(b); after != nullptr && after->free) {
      unlist(*after);
      merge(b);
    }
  }
  /// Makes one block of `b` and the one behind it.
  static void merge(buffer& b) {
    b.size += header_size + behind(b)->size;
    buffer* const next = behind(b);
    (next != nullptr ? next->before : b.home->last) = &b;
  }
  static buffer* behind(const buffer& b) {
    std::byte* const at = b.data + b.size;
    return at == reinterpret_cast<std::byte*>(b.home) + b.home->used ? nullptr : reinterpret_cast<buffer*>(at);
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

  std::array<buffer*, classes> free_{};
  slab* slabs_ = nullptr;
  std::size_t slab_size_, extensions_ = 0;
};

}  // namespace expunge::host
