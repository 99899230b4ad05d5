// Host storage that stands in for a device: its memory runs out where a test wants it to, and downloads, for which one would wait
// for a device, are counted.
#pragma once

#include <limits>
#include <span>
#include <string>

#include <expunge/tensor/primitive.hpp>
#include <expunge/tensor/tensor.hpp>

namespace expunge::testing {

inline index_t allowance = std::numeric_limits<index_t>::max();  // tensors that may still be made
inline index_t downloads = 0;                                    // so far

template <class T>
class watched_storage : public host_storage<T> {
 public:
  template <class U>
  using rebind = watched_storage<U>;

  watched_storage() = default;
  explicit watched_storage(index_t n) : host_storage<T>(allowed(n)) {}
  void download(index_t offset, std::span<T> to) const {
    ++downloads;
    host_storage<T>::download(offset, to);
  }

 private:
  static index_t allowed(index_t n) {
    if (allowance == 0) throw out_of_memory("no room for " + std::to_string(n) + " elements");
    --allowance;
    return n;
  }
};

static_assert(storage<watched_storage<float>>);

}  // namespace expunge::testing
