// Storage on a CUDA device. Needs no CUDA header; link expunge::cuda (CMake option EXPUNGE_CUDA).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "expunge/core/shape.hpp"
#include "expunge/tensor/cuda/primitive.hpp"
#include "expunge/tensor/cuda/runtime.hpp"
#include "expunge/tensor/storage.hpp"

namespace expunge {

/// Models the concept `storage`; kernels exist for float and double, and std::int32_t for indices. Copies share the memory, and
/// data() must not be dereferenced on the host. An element-wise operation with a functor of one's own needs the functor compiled
/// for the device: see docs/cuda.md.
template <class T>
class cuda_storage {
 public:
  using value_type = T;
  using pointer = T*;
  using const_pointer = const T*;
  template <class U>
  using rebind = cuda_storage<U>;

  static constexpr bool on_device = true;

  cuda_storage() = default;

  /// Uninitialised memory for `size` elements. Throws expunge::error where there is no device or not enough memory.
  explicit cuda_storage(index_t size) : memory_(cuda::allocate(static_cast<std::size_t>(size) * sizeof(T)), cuda::release) {}

  explicit operator bool() const { return memory_ != nullptr; }
  [[nodiscard]] bool unique() const { return memory_.use_count() == 1; }
  [[nodiscard]] pointer data() const { return static_cast<T*>(memory_.get()); }

  /// Gives back all but the first `size` elements, where freed memory is kept; for the only handle.
  bool shrink(index_t size) const { return cuda::shrink(memory_.get(), static_cast<std::size_t>(size) * sizeof(T)); }

  void upload(index_t offset, std::span<const T> from) const { cuda::copy_to_device(data() + offset, from.data(), from.size_bytes()); }
  void download(index_t offset, std::span<T> to) const { cuda::copy_to_host(to.data(), data() + offset, to.size_bytes()); }

  /// Submits a primitive operation to the device.
  template <class Primitive, class... Arguments>
  static void run(const Arguments&... arguments) {
    cuda::kernel<Primitive>::launch(arguments...);
  }

 private:
  std::shared_ptr<void> memory_;
};

static_assert(storage<cuda_storage<float>>);

}  // namespace expunge
