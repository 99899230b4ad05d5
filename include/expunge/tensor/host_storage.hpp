// Storage in host memory: pooled, reference counted, or a view of memory that the caller owns.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

#include "expunge/core/shape.hpp"
#include "expunge/tensor/host/buffer_pool.hpp"

namespace expunge {

/// Models the concept `storage`. Copies share the memory.
template <class T>
class host_storage {
 public:
  using value_type = T;
  using pointer = T*;
  using const_pointer = const T*;
  template <class U>
  using rebind = host_storage<U>;

  host_storage() = default;

  /// Uninitialised memory for `size` elements.
  explicit host_storage(index_t size)
      : buffer_(host::buffer_pool::instance().acquire(static_cast<std::size_t>(size) * sizeof(T))) {}

  /// A view of memory that must outlive every handle.
  static host_storage view(T* data) {
    host_storage made;
    made.buffer_ = host::buffer_pool::adopt(reinterpret_cast<std::byte*>(data));
    return made;
  }

  host_storage(const host_storage& other) : buffer_(other.buffer_) {
    if (buffer_ != nullptr) buffer_->references.fetch_add(1, std::memory_order_relaxed);
  }
  host_storage(host_storage&& other) noexcept : buffer_(std::exchange(other.buffer_, nullptr)) {}
  host_storage& operator=(host_storage other) noexcept {
    std::swap(buffer_, other.buffer_);
    return *this;
  }
  ~host_storage() {
    if (buffer_ != nullptr && buffer_->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
      host::buffer_pool::instance().recycle(buffer_);
  }

  explicit operator bool() const { return buffer_ != nullptr; }

  /// True where no other handle can see a change: the memory is ours and this is its only handle.
  [[nodiscard]] bool unique() const {
    return buffer_ != nullptr && buffer_->home != nullptr && buffer_->references.load(std::memory_order_acquire) == 1;
  }

  /// Gives back all but the first `size` elements of memory that is ours and has no other handle.
  bool shrink(index_t size) const {
    host::buffer_pool::instance().shrink(*buffer_, static_cast<std::size_t>(size) * sizeof(T));
    return true;
  }

  [[nodiscard]] pointer data() const { return reinterpret_cast<T*>(buffer_->data); }

  void upload(index_t offset, std::span<const T> from) const { std::copy(from.begin(), from.end(), data() + offset); }
  void download(index_t offset, std::span<T> to) const { std::copy_n(data() + offset, to.size(), to.begin()); }

  /// Runs a primitive operation on this storage's device.
  template <class Primitive, class... Arguments>
  static void run(const Arguments&... arguments) {
    Primitive::host(arguments...);
  }

 private:
  host::buffer* buffer_ = nullptr;
};

}  // namespace expunge
