// Element-wise operations on a device: what one of many threads does.
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include "expunge/core/device.hpp"
#include "expunge/core/shape.hpp"
#include "expunge/tensor/cuda/element_pack.hpp"
#include "expunge/tensor/cuda/lanes.hpp"

namespace expunge::cuda {

namespace detail {
/// Elements in bfloat16 are either read or written.
template <class E>
EXPUNGE_DEVICE element_pack<number_of<E>> load_pack(E* from, index_t i) {
  using pack = element_pack<number_of<E>>;
  pack values{};
  if constexpr (std::same_as<number_of<E>, std::remove_const_t<E>>) {
    values = reinterpret_cast<const pack*>(from)[i];
  } else if constexpr (std::is_const_v<E>) {
    const stored_pack<E> stored = reinterpret_cast<const stored_pack<E>*>(from)[i];
    for (int u = 0; u < pack::size; ++u) values.at[u] = stored.at[u];
  }
  return values;
}
template <class T, class E>
EXPUNGE_DEVICE void store_pack(E* to, index_t i, const element_pack<T>& values) {
  if constexpr (std::same_as<E, bfloat16>) {
    stored_pack<E> rounded;
    for (int u = 0; u < element_pack<T>::size; ++u) rounded.at[u] = values.at[u];
    reinterpret_cast<stored_pack<E>*>(to)[i] = rounded;
  } else if constexpr (!std::is_const_v<E>) {
    reinterpret_cast<element_pack<T>*>(to)[i] = values;
  }
}
template <class E>
EXPUNGE_DEVICE number_of<E> load(E* from, index_t i) {
  if constexpr (std::same_as<E, bfloat16>) return 0;
  else return from[i];
}
template <class T, class E>
EXPUNGE_DEVICE void store(E* to, index_t i, T value) {
  if constexpr (!std::is_const_v<E>) to[i] = value;
}
}  // namespace detail

/// Calls f(value&...) for this thread's share, number `first` of `step`, of the elements; what f assigns is stored for the arrays that
/// are not const. `packed`: every array begins at a multiple of its pack_bytes. `Ahead` packs of every array are on their way at once.
template <int Ahead = 1, class F, class... E>
EXPUNGE_DEVICE void map_elements(index_t first, index_t step, index_t size, bool packed, const F& f, E*... arrays) {
  using T = std::common_type_t<number_of<E>...>;
  static_assert((std::same_as<number_of<E>, T> && ...), "an element-wise operation takes arrays of one type");
  constexpr int together = element_pack<T>::size;
  const index_t packs = packed ? size / together : 0;
  [&]<std::size_t... A>(std::index_sequence<A...>) {
    for (index_t i = first; i < packs; i += Ahead * step) {
      element_pack<T> values[Ahead][sizeof...(A)];
      for (int n = 0; n < Ahead; ++n)
        if (i + n * step < packs) ((values[n][A] = detail::load_pack(arrays, i + n * step)), ...);
      for (int n = 0; n < Ahead; ++n) {
        if (i + n * step >= packs) break;
        for (int u = 0; u < together; ++u) f(values[n][A].at[u]...);
        (detail::store_pack(arrays, i + n * step, values[n][A]), ...);
      }
    }
    for (index_t i = packs * together + first; i < size; i += step) {
      T values[] = {detail::load(arrays, i)...};
      f(values[A]...);
      (detail::store(arrays, i, values[A]), ...);
    }
  }(std::index_sequence_for<E...>{});
}

/// The sum of what f returns for the elements of [0, size), in double; stores what f assigns.
template <class Lanes, class F, class... E>
EXPUNGE_DEVICE double map_sum_of(const Lanes& lanes, index_t size, bool packed, const F& f, E*... arrays) {
  double total = 0;
  constexpr int ahead = sizeof...(E) <= 2 ? 4 : 2;
  map_elements<ahead>(lanes.index(), lanes.count(), size, packed, [&](auto&... values) { total += f(values...); }, arrays...);
  return lanes.sum(total);
}

}  // namespace expunge::cuda
