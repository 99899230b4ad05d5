// Storage without memory: tensors that have shapes and no elements, to know what a model would take before it is made.
#pragma once

#include <span>

#include "expunge/tensor/storage.hpp"

namespace expunge {

/// Models the concept `storage`; what is uploaded is forgotten, and it runs no primitive.
template <class T>
class unmade_storage {
 public:
  using value_type = T;
  using pointer = T*;
  using const_pointer = const T*;
  template <class U>
  using rebind = unmade_storage<U>;

  unmade_storage() = default;
  explicit unmade_storage(index_t /*size*/) : present_(true) {}
  explicit operator bool() const { return present_; }
  [[nodiscard]] bool unique() const { return false; }
  [[nodiscard]] pointer data() const { return nullptr; }
  void upload(index_t /*offset*/, std::span<const T> /*from*/) const {}
  void download(index_t /*offset*/, std::span<T> /*to*/) const {}

 private:
  bool present_ = false;
};

static_assert(storage<unmade_storage<float>>);

}  // namespace expunge
