// Element-wise loops: a functor over SIMD batches, applied to any number of arrays.
#pragma once

#include <array>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <xsimd/xsimd.hpp>

#include "expunge/core/thread_pool.hpp"

namespace expunge::host {

namespace detail {

template <class F, class T, std::size_t... I, class... P>
void map_range(index_t begin, index_t end, const F& f, std::index_sequence<I...>, P... arrays) {
  using batch = xsimd::batch<T>;
  constexpr auto width = static_cast<index_t>(batch::size);
  const auto run = [&](auto... at) {
    std::array<batch, sizeof...(P)> values{batch::load_unaligned(at)...};
    f(values[I]...);
    const auto store = [](auto* to, const batch& value) {
      if constexpr (!std::is_const_v<std::remove_pointer_t<decltype(to)>>) value.store_unaligned(to);
    };
    (store(at, values[I]), ...);
  };
  index_t i = begin;
  for (; i + width <= end; i += width) run((arrays + i)...);
  if (i == end) return;
  // The rest goes through a padded copy, so that every element meets the same arithmetic.
  const index_t rest = end - i;
  std::array<std::array<T, batch::size>, sizeof...(P)> padded{};
  for (index_t j = 0; j < rest; ++j) ((padded[I][static_cast<std::size_t>(j)] = arrays[i + j]), ...);
  run(padded[I].data()...);
  const auto copy_back = [&](auto* to, const std::array<T, batch::size>& from) {
    if constexpr (!std::is_const_v<std::remove_pointer_t<decltype(to)>>)
      for (index_t j = 0; j < rest; ++j) to[i + j] = from[static_cast<std::size_t>(j)];
  };
  (copy_back(arrays, padded[I]), ...);
}

}  // namespace detail

/// Calls f(batch&...) over [0, size) with one xsimd::batch from each array and stores the batches of non-const arrays.
/// f must be element-wise: the result does not depend on how elements are grouped.
template <class F, class... P>
void map(index_t size, const F& f, P*... arrays) {
  using T = std::remove_const_t<std::tuple_element_t<0, std::tuple<P...>>>;
  parallel_blocks(size, 16384, [&](index_t begin, index_t end) {
    detail::map_range<F, T>(begin, end, f, std::index_sequence_for<P...>{}, arrays...);
  });
}

}  // namespace expunge::host
