// Element-wise loops: a functor over SIMD batches, applied to any number of arrays.
#pragma once

#include <algorithm>
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

/// As map, for an f that returns a batch (zero where all its arguments are): *out += factor * the sum of those, gathered in double over
/// fixed blocks in order.
template <class F, class... P>
void map_sum(index_t size, const F& f, double factor, double* out, P*... arrays) {
  using T = std::remove_const_t<std::tuple_element_t<0, std::tuple<P...>>>;
  constexpr index_t grain = 65536, wave = 64, chunk = 256;  // elements of a block, blocks at a time, elements summed in T
  double total = 0;
  for (index_t start = 0; start < size; start += grain * wave) {
    std::array<double, wave> partial{};
    const index_t end = std::min(size, start + grain * wave);
    parallel_blocks(end - start, grain, [&](index_t first, index_t last) {
      double& sum = partial[static_cast<std::size_t>(first / grain)];
      for (index_t i = start + first; i < start + last; i += chunk) {
        xsimd::batch<T> part(T{0});
        const auto add = [&](auto&... values) { part += f(values...); };
        detail::map_range<decltype(add), T>(i, std::min(i + chunk, start + last), add, std::index_sequence_for<P...>{}, arrays...);
        sum += static_cast<double>(xsimd::hadd(part));
      }
    });
    for (const double sum : partial) total += sum;
  }
  *out += factor * total;
}

}  // namespace expunge::host
