// Element-wise operations on a device: what one of many threads does.
#pragma once

#include <concepts>
#include <type_traits>

#include "expunge/core/device.hpp"
#include "expunge/core/shape.hpp"
#include "expunge/tensor/cuda/element_pack.hpp"
#include "expunge/tensor/cuda/lanes.hpp"

namespace expunge::cuda {

namespace detail {
template <class V, class E>
EXPUNGE_DEVICE V load(const E* from, index_t i) {
  return reinterpret_cast<const V*>(from)[i];
}
template <class V, class E>
EXPUNGE_DEVICE void store(E* to, index_t i, const V& value) {
  if constexpr (!std::is_const_v<E>) reinterpret_cast<V*>(to)[i] = value;
}
}  // namespace detail

/// Calls f(value&...) for this thread's share, number `first` of `step`, of the elements; what f assigns is stored for the arrays that
/// are not const. `packed`: every array begins at a multiple of 16 bytes.
template <class F, class E, class... Rest>
EXPUNGE_DEVICE void map_elements(index_t first, index_t step, index_t size, bool packed, const F& f, E* array, Rest*... rest) {
  using T = std::remove_const_t<E>;
  static_assert((std::same_as<std::remove_const_t<Rest>, T> && ...), "an element-wise operation takes arrays of one type");
  using pack = element_pack<T>;
  const index_t packs = packed ? size / pack::size : 0;
  for (index_t i = first; i < packs; i += step) {
    const auto run = [&](auto value, auto... values) {
      for (int u = 0; u < pack::size; ++u) f(value.at[u], values.at[u]...);
      detail::store<pack>(array, i, value);
      (detail::store<pack>(rest, i, values), ...);
    };
    run(detail::load<pack>(array, i), detail::load<pack>(rest, i)...);
  }
  for (index_t i = packs * pack::size + first; i < size; i += step) {
    const auto run = [&](auto value, auto... values) {
      f(value, values...);
      detail::store<T>(array, i, value);
      (detail::store<T>(rest, i, values), ...);
    };
    run(array[i], rest[i]...);
  }
}

/// The sum of what f returns for the elements of [0, size), in double; stores what f assigns.
template <class Lanes, class F, class... E>
EXPUNGE_DEVICE double map_sum_of(const Lanes& lanes, index_t size, bool packed, const F& f, E*... arrays) {
  double total = 0;
  map_elements(lanes.index(), lanes.count(), size, packed, [&](auto&... values) { total += f(values...); }, arrays...);
  return lanes.sum(total);
}

}  // namespace expunge::cuda
