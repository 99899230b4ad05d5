// Element-wise loops: a functor over SIMD batches, applied to any number of arrays.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <tuple>

#include <xsimd/xsimd.hpp>

#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/host/batches.hpp"

namespace expunge::host {

/// Calls f(batch&...) over [0, size) with one xsimd::batch from each array and stores the batches of non-const arrays.
/// f must be element-wise: the result does not depend on how elements are grouped.
template <class F, class... P>
void map(index_t size, const F& f, P*... arrays) {
  parallel_blocks(size, 16384, [&](index_t begin, index_t end) { detail::for_batches(end - begin, f, (arrays + begin)...); });
}

/// As map, for an f that returns a batch (zero where all its arguments are): *out += factor * the sum of those, gathered in double over
/// fixed blocks in order.
template <class F, class... P>
void map_sum(index_t size, const F& f, double factor, double* out, P*... arrays) {
  using T = detail::element<P...>;
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
        detail::for_batches(std::min(chunk, start + last - i), add, (arrays + i)...);
        sum += static_cast<double>(detail::sum_of(part));
      }
    });
    for (const double sum : partial) total += sum;
  }
  *out += factor * total;
}

/// map over the arrays of each group.
template <class F, class Groups>
void map_each(const F& f, const Groups& groups) {
  for (const auto& group : groups) std::apply([&](auto*... arrays) { map(group.size, f, arrays...); }, group.first);
}

/// map_sum likewise, one group after the other.
template <class F, class Groups>
void map_sum_each(const F& f, const Groups& groups, double factor, double* out) {
  for (const auto& group : groups) std::apply([&](auto*... arrays) { map_sum(group.size, f, factor, out, arrays...); }, group.first);
}

}  // namespace expunge::host
