// Loops over arrays on the calling thread, a SIMD batch of each at a time. They are flattened (all that they call is inlined), because in a
// large translation unit g++ stops inlining what is small too (test/kernel_calls.sh).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <tuple>
#include <type_traits>

#include <xsimd/xsimd.hpp>

#include "expunge/core/shape.hpp"
#include "expunge/tensor/host/simd_register.hpp"

namespace expunge::host::detail {

template <class... P>
using element = std::remove_const_t<std::tuple_element_t<0, std::tuple<P...>>>;

/// Calls f(batch&...) over [0, size) with one batch from each array and stores the batches of non-const arrays.
template <class F, class... P>
[[gnu::flatten]] void for_batches(index_t size, const F& f, P*... arrays) {
  using T = element<P...>;
  using batch = xsimd::batch<T>;
  constexpr auto width = static_cast<index_t>(batch::size);
  const auto run = [&](P*... at) {
    const auto store = [](auto* to, const batch& value) {
      if constexpr (!std::is_const_v<std::remove_pointer_t<decltype(to)>>) value.store_unaligned(to);
    };
    const auto apply = [&](auto... values) {
      f(values...);
      (store(at, values), ...);
    };
    apply(batch::load_unaligned(at)...);
  };
  index_t i = 0;
  for (; i + width <= size; i += width) run((arrays + i)...);
  if (i == size) return;
  // The rest goes through a padded copy, so that every element meets the same arithmetic.
  const auto copy_back = [&](const auto& from, auto* to) {
    if constexpr (!std::is_const_v<std::remove_pointer_t<decltype(to)>>) std::copy_n(from.data(), size - i, to);
  };
  const auto run_rest = [&](auto... padded) {
    (std::copy_n(arrays + i, size - i, padded.data()), ...);
    run(padded.data()...);
    (copy_back(padded, arrays + i), ...);
  };
  run_rest(((void)arrays, std::array<T, batch::size>{})...);
}

/// The sum of f(batch...) over [0, size); f is element-wise and may be anything where its arguments are zero.
template <class F, class... P>
[[gnu::flatten]] auto sum_batches(index_t size, const F& f, const P*... arrays) {
  using T = element<P...>;
  using batch = xsimd::batch<T>;
  constexpr auto width = static_cast<index_t>(batch::size);
  const auto at = [&](index_t i) { return batch(f(batch::load_unaligned(arrays + i)...)); };
  batch even(T{0}), odd(T{0});  // two chains, because one would wait for every addition
  index_t i = 0;
  for (; i + 2 * width <= size; i += 2 * width) {
    even += at(i);
    odd += at(i + width);
  }
  if (i + width <= size) {
    even += at(i);
    i += width;
  }
  T total = sum_of(even + odd);
  const auto add_rest = [&](auto... padded) {
    (std::copy_n(arrays + i, size - i, padded.data()), ...);
    std::array<T, batch::size> values;
    batch(f(batch::load_unaligned(padded.data())...)).store_unaligned(values.data());
    for (index_t j = 0; j < size - i; ++j) total += values[static_cast<std::size_t>(j)];
  };
  if (i < size) add_rest(((void)arrays, std::array<T, batch::size>{})...);
  return total;
}

template <class T>
T sum_of(index_t size, const T* from) {
  return sum_batches(size, [](const auto& x) { return x; }, from);
}

/// The inner product of a and b.
template <class T>
T dot(index_t size, const T* a, const T* b) {
  return sum_batches(size, [](const auto& x, const auto& y) { return x * y; }, a, b);
}

template <class T>
T largest_of(index_t size, const T* from) {
  using batch = xsimd::batch<T>;
  constexpr auto width = static_cast<index_t>(batch::size);
  batch even(-std::numeric_limits<T>::infinity()), odd = even;
  index_t i = 0;
  for (; i + 2 * width <= size; i += 2 * width) {
    even = xsimd::max(even, batch::load_unaligned(from + i));
    odd = xsimd::max(odd, batch::load_unaligned(from + i + width));
  }
  std::array<T, batch::size> values;
  xsimd::max(even, odd).store_unaligned(values.data());
  const T largest = *std::max_element(values.begin(), values.end());
  return i == size ? largest : std::max(largest, *std::max_element(from + i, from + size));
}

/// to += from
template <class T>
void add_to(index_t size, const T* from, T* to) {
  for_batches(size, [](const auto& x, auto& y) { y += x; }, from, to);
}

}  // namespace expunge::host::detail
