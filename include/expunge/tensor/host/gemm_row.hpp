// The product of one row with a transposed matrix, a weight in generation: bound by reading that matrix, which is therefore not packed.
// (With four rows packing is as fast again: a sum in the lanes of a register costs a horizontal addition an element.)
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include <xsimd/xsimd.hpp>

#include "expunge/core/thread_pool.hpp"

namespace expunge::host::detail {

/// out[s] = alpha * the inner product of row [k] and row s of b [sizeof...(S), k], + beta * out[s]; beta = 0 never reads out.
template <class T, std::size_t... S>
void inner_products(std::index_sequence<S...>, index_t k, T alpha, const T* row, const T* b, T beta, T* out) {
  using batch = xsimd::batch<T>;
  constexpr auto size = static_cast<index_t>(batch::size);
  std::array<batch, sizeof...(S)> sums{((void)S, batch(T{0}))...};
  index_t p = 0;
  for (; p + size <= k; p += size) {
    const batch left = batch::load_unaligned(row + p);
    ((sums[S] = xsimd::fma(left, batch::load_unaligned(b + static_cast<index_t>(S) * k + p), sums[S])), ...);
  }
  const auto put = [&](std::size_t s) {
    T total = xsimd::hadd(sums[s]);
    for (index_t rest = p; rest < k; ++rest) total += row[rest] * b[static_cast<index_t>(s) * k + rest];
    out[s] = alpha * total + (beta == T{0} ? T{0} : beta * out[s]);
  };
  (put(S), ...);
}

/// As host::gemm with one row of A and op(B) = B^T.
template <class T>
void row_gemm(index_t n, index_t k, T alpha, const T* a, const T* b, T beta, T* c) {
  constexpr index_t tile = 4;  // rows of B at a time: independent sums, and streams for the memory
  parallel_blocks(n, tile * std::max<index_t>(1, (index_t{1} << 16) / (k * tile)), [&](index_t begin, index_t end) {
    index_t j = begin;
    for (; j + tile <= end; j += tile) inner_products(std::make_index_sequence<tile>{}, k, alpha, a, b + j * k, beta, c + j);
    for (; j < end; ++j) inner_products(std::index_sequence<0>{}, k, alpha, a, b + j * k, beta, c + j);
  });
}

}  // namespace expunge::host::detail
