// The product of few rows with a matrix much longer than wide, the output layer's weight in its input's gradient: bound by reading that
// matrix, which is read in place and in its own order.
#pragma once

#include <algorithm>

#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/host/gemm_own.hpp"
#include "expunge/tensor/host/small_product.hpp"

namespace expunge::host::detail {

// Purposes of scratch memory.
struct depth_sums;
struct depth_block;

/// Whether the product of [m, k] and [k, n] is one.
constexpr bool has_long_depth(index_t m, index_t n, index_t k) { return m <= 64 && n <= 2048 && k >= 8 * n && k * n >= index_t{1} << 20; }

/// As host::gemm with neither operand transposed: the sums over parts of the depth, then their sum.
template <class T>
void long_depth_gemm(index_t m, index_t n, index_t k, T alpha, const T* a, const T* b, T beta, T* c) {
  constexpr index_t parts = 8, rows = 64;  // so many of B at a time stay in the second-level cache
  const even_split depths(k, (k + parts - 1) / parts);
  T* const sums = scratch<depth_sums, T>(depths.parts * m * n);
  parallel_blocks(depths.parts, 1, [&](index_t first, index_t last) {
    T* const left = scratch<depth_block, T>(m * rows);  // A's rows lie so far apart that they push each other out of a cache
    for (index_t part = first; part < last; ++part)
      for (index_t p = depths.begin(part), end = depths.begin(part + 1); p < end; p += rows) {
        const index_t depth = std::min(rows, end - p);
        for (index_t q = 0; q < std::min(rows, k - p - depth) * n; q += prefetcher::line<T>) __builtin_prefetch(b + (p + depth) * n + q, 0, 2);
        for (index_t i = 0; i < m; ++i) std::copy_n(a + i * k + p, depth, left + i * rows);
        small_product<T>(m, n, depth, alpha, {left, rows, 1}, {b + p * n, n}, p > depths.begin(part), {sums + part * m * n, n});
      }
  });
  for (index_t i = 0; i < m * n; ++i) {
    T sum = beta == T{0} ? T{0} : beta * c[i];
    for (index_t part = 0; part < depths.parts; ++part) sum += sums[part * m * n + i];
    c[i] = sum;
  }
}

}  // namespace expunge::host::detail
