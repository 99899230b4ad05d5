// Reference-counted host memory, so that a repeated computation asks the system for nothing.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <limits>
#include <mutex>
#include <string>

#include "expunge/core/error.hpp"
#include "expunge/tensor/host/block_space.hpp"

namespace expunge::host {

/// Lends memory and keeps what it got back until the process ends or release_unused() is called. Safe to use from many threads.
class buffer_pool {
 public:
  static buffer_pool& instance() {
    static buffer_pool pool;
    return pool;
  }

  /// Uninitialised memory of at least `bytes` bytes, with one reference. Throws expunge::out_of_memory.
  buffer* acquire(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    block_space& space = bytes < small ? small_ : large_;
    const bool possible = bytes < std::numeric_limits<std::size_t>::max() / 2;
    buffer* found = possible ? space.take(bytes) : nullptr;
    if (found == nullptr && possible) {  // what is idle may be in pieces that are too small
      release_idle();
      found = space.take(bytes);
    }
    if (found == nullptr)
      throw out_of_memory("the system has no room for " + std::to_string(bytes) + " bytes beside " + std::to_string(in_use_) +
                          " in use; use smaller batches or a smaller model");
    found->references.store(1, std::memory_order_relaxed);
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

  /// Gives back what lies behind the first `bytes` of a buffer.
  void shrink(buffer& b, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    in_use_ -= b.size;
    b.home->space->shrink(b, bytes);
    in_use_ += b.size;
  }

  /// Gives back a buffer whose last reference is gone.
  void recycle(buffer* unused) {
    if (unused->home == nullptr) {
      delete unused;
      return;
    }
    const std::lock_guard lock(mutex_);
    in_use_ -= unused->size;
    unused->home->space->give_back(unused);
  }

  /// Returns to the system the slabs of which no buffer is in use.
  void release_unused() {
    const std::lock_guard lock(mutex_);
    release_idle();
  }

  /// How often memory was lent that never was before; constant in the steady state.
  [[nodiscard]] std::size_t allocations() const {
    const std::lock_guard lock(mutex_);
    return small_.extensions() + large_.extensions();
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
  // Small buffers, which often live longer than the large ones of their time, do not stand between them.
  static constexpr std::size_t small = std::size_t{1} << 16;

  void release_idle() {
    small_.release_unused();
    large_.release_unused();
  }

  mutable std::mutex mutex_;
  block_space small_{8 * block_space::huge_page}, large_{512 * block_space::huge_page};
  std::size_t in_use_ = 0, peak_ = 0;
};

}  // namespace expunge::host
