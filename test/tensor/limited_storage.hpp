// Host storage with an allowance: memory that runs out where a test wants it to.
#pragma once

#include <limits>
#include <span>
#include <string>

#include <expunge/tensor/primitive.hpp>
#include <expunge/tensor/tensor.hpp>

namespace expunge::testing {

/// How many more tensors may be made.
inline index_t allowance = std::numeric_limits<index_t>::max();

template <class T>
class limited_storage : public host_storage<T> {
 public:
  template <class U>
  using rebind = limited_storage<U>;

  limited_storage() = default;
  explicit limited_storage(index_t n) : host_storage<T>(allowed(n)) {}

 private:
  static index_t allowed(index_t n) {
    if (allowance == 0) throw out_of_memory("no room for " + std::to_string(n) + " elements");
    --allowance;
    return n;
  }
};

static_assert(storage<limited_storage<float>>);

}  // namespace expunge::testing
