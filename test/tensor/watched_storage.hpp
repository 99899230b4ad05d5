// Host storage that stands in for a device: its memory runs out where a test wants it to, downloads, for which one would wait for a
// device, are counted, and so are writes to what is held (held_operands.hpp); and what is submitted is written down.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <vector>

#include <expunge/tensor/held_operands.hpp>
#include <expunge/tensor/primitive.hpp>
#include <expunge/tensor/tensor.hpp>

namespace expunge::testing {

inline index_t allowance = std::numeric_limits<index_t>::max();  // tensors that may still be made
inline index_t downloads = 0;                                    // so far
inline index_t holds = 0, writes_to_held = 0;
inline std::vector<std::pair<std::type_index, std::vector<index_t>>> submitted;  // primitives with their sizes
inline std::set<std::pair<const void*, const void*>> held;       // first byte, end

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
  static std::shared_ptr<void> hold(const T* elements, index_t size) {
    ++holds;
    const auto at = held.emplace(elements, elements + size).first;
    return {nullptr, [at](void*) { held.erase(at); }};
  }
  template <class Primitive, class... A>
  static void run(const A&... a) {
    (watch(a), ...);
    submitted.emplace_back(typeid(Primitive), std::vector<index_t>{});
    const auto write_down = [](const auto& x) {
      if constexpr (std::is_integral_v<std::remove_cvref_t<decltype(x)>>) submitted.back().second.push_back(static_cast<index_t>(x));
    };
    (write_down(a), ...);
    host_storage<T>::template run<Primitive>(a...);
  }

 private:
  template <class A>
  static void watch(const A& a) {
    if constexpr (std::is_pointer_v<A>)
      if constexpr (!std::is_const_v<std::remove_pointer_t<A>>)
        for (const auto& [first, end] : held) writes_to_held += a != nullptr && !std::less<>{}(a, first) && std::less<>{}(a, end) ? 1 : 0;
  }
  static index_t allowed(index_t n) {
    if (allowance == 0) throw out_of_memory("no room for " + std::to_string(n) + " elements");
    --allowance;
    return n;
  }
};

static_assert(storage<watched_storage<float>> && holding_storage<watched_storage<float>>);

}  // namespace expunge::testing
