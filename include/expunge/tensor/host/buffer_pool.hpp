// Reference-counted host memory from free lists by size class, so that a repeated computation allocates nothing.
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

#include "expunge/core/error.hpp"

namespace expunge::host {

/// One allocation: the header sits in front of its 64-byte aligned bytes, or beside memory that somebody else owns.
struct buffer {
  std::atomic<std::int64_t> references{1};
  std::byte* data = nullptr;
  std::size_t size_class = 0;
  buffer* next = nullptr;
};

/// Free lists of buffers; each size class wastes at most an eighth. Its memory is kept until the process ends or
/// release_unused() is called. Safe to use from many threads.
class buffer_pool {
 public:
  static constexpr std::size_t alignment = 64;
  static constexpr std::size_t classes = 512;
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
    const std::size_t size_class = class_of(bytes);
    {
      const std::lock_guard lock(mutex_);
      in_use_ += capacity_of(size_class);
      peak_ = std::max(peak_, in_use_);
      if (buffer* found = free_[size_class]) {
        free_[size_class] = found->next;
        found->references.store(1, std::memory_order_relaxed);
        return found;
      }
      ++allocations_;
    }
    const std::size_t total = header_size + capacity_of(size_class);
    auto* memory = static_cast<std::byte*>(::operator new(total, std::align_val_t{alignment}, std::nothrow));
    if (memory == nullptr) {
      const std::lock_guard lock(mutex_);
      in_use_ -= capacity_of(size_class);
      throw out_of_memory("the system has no room for " + std::to_string(bytes) + " bytes beside " + std::to_string(in_use_) +
                          " in use; use smaller batches or a smaller model");
    }
    auto* made = new (memory) buffer;
    made->data = memory + header_size;
    made->size_class = size_class;
    return made;
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
    unused->next = std::exchange(free_[unused->size_class], unused);
  }

  /// Returns the memory of all free buffers to the system.
  void release_unused() {
    const std::lock_guard lock(mutex_);
    for (buffer*& list : free_)
      while (list != nullptr) {
        buffer* current = std::exchange(list, list->next);
        current->~buffer();
        ::operator delete(static_cast<void*>(current), std::align_val_t{alignment});
      }
  }

  /// How often memory was asked from the system so far; constant in the steady state.
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
  static constexpr std::size_t header_size = 64;
  static_assert(sizeof(buffer) <= header_size);

  // Eight classes an octave, from 64 bytes on: (8 + step) * 2^(octave + 3).
  static std::size_t class_of(std::size_t bytes) {
    if (bytes <= 64) return 0;
    const auto octave = static_cast<std::size_t>(std::bit_width(bytes - 1)) - 4;  // bytes - 1 in [8, 16) * 2^octave
    const std::size_t step = ((bytes - 1) >> octave) - 8;
    return (octave - 3) * 8 + step + 1;
  }
  static std::size_t capacity_of(std::size_t size_class) {
    return (8 + size_class % 8) << (3 + size_class / 8);
  }

  mutable std::mutex mutex_;
  std::array<buffer*, classes> free_{};
  std::size_t allocations_ = 0, in_use_ = 0, peak_ = 0;
};

}  // namespace expunge::host
