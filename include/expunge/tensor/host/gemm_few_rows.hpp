// The product of few rows with a transposed matrix, a weight in generation: bound by reading that matrix, which is read in place. (To
// pack it pays from the third tile of rows on.)
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <utility>

#include <xsimd/xsimd.hpp>

#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/host/gemm_own.hpp"
#include "expunge/tensor/host/gemm_pack.hpp"
#include "expunge/tensor/host/gemm_tile.hpp"
#include "expunge/tensor/host/multiply_add.hpp"

namespace expunge::host::detail {

/// Element i of the result is the sum of register First + i, 0 from of.size() on: registers are added in pairs after they have exchanged
/// halves, those of their quarters of 16 bytes first. (xsimd's own gives AVX-512's floats in another order, by version.) Count and Stride are the
/// recursion's.
template <class T, std::size_t First = 0, std::size_t Stride = 1, std::size_t Count = xsimd::batch<T>::size, std::size_t Size>
[[gnu::always_inline]] inline typename simd_register<T, xsimd::batch<T>::size>::type sums_of(const std::array<xsimd::batch<T>, Size>& of) {
  using simd = simd_register<T, xsimd::batch<T>::size>;
  using type = typename simd::type;
  if constexpr (First >= Size) {
    return type{};
  } else if constexpr (Count == 1) {
    return std::bit_cast<type>(of[First]);
  } else if constexpr (Count <= simd::quarter) {
    const type x = sums_of<T, First, 2 * Stride, Count / 2>(of), y = sums_of<T, First + Stride, 2 * Stride, Count / 2>(of);
    return simd::template interleave<false>(x, y) + simd::template interleave<true>(x, y);
  } else {
    return []<std::size_t... E>(type x, type y, std::index_sequence<E...>) {
      constexpr std::size_t block = simd::quarter * xsimd::batch<T>::size / Count;  // blocks that are summed already
      return __builtin_shufflevector(x, y, (E / block * 2 * block + E % block)...) +
             __builtin_shufflevector(x, y, (E / block * 2 * block + block + E % block)...);
    }(sums_of<T, First, 1, Count / 2>(of), sums_of<T, First + Count / 2, 1, Count / 2>(of), std::make_index_sequence<xsimd::batch<T>::size>{});
  }
}

/// C = alpha A B^T + beta C for a tile of inner products in registers, as many as tile_product has.
template <class T>
struct inner_product_tile {
  static constexpr index_t rows = gemm_tile<T>::rows;
  /// A lone row needs several columns for the multiply-adds' latency and for the memory.
  static constexpr index_t columns(index_t m) { return m == 1 ? 4 : static_cast<index_t>(gemm_tile<T>::vectors); }

  index_t height, count;  // the rows and columns that there are; the last stands for the others
  index_t depth;
  T alpha;
  const T *a, *b;  // rows `stride` apart
  index_t stride;
  T beta;  // 0 never reads C
  T* c;    // rows of n
  index_t n;
  const T* next;  // this tile's part of rows like b's that it fetches meanwhile,
  index_t step;   // so many elements of each for a vector of depth

  template <std::size_t... R, std::size_t... V, std::size_t... S>
  [[gnu::flatten]] void run(std::index_sequence<R...>, std::index_sequence<V...>, std::index_sequence<S...>) const {
    using batch = xsimd::batch<T>;
    constexpr auto size = static_cast<index_t>(batch::size);
    std::array<batch, sizeof...(S)> sums{((void)S, batch(T{0}))...};  // [R][V]
    const std::array<const T*, sizeof...(R)> left{a + std::min(static_cast<index_t>(R), height - 1) * stride...};
    const std::array<const T*, sizeof...(V)> right{b + std::min(static_cast<index_t>(V), count - 1) * stride...};
    const auto add_products = [&](auto load) __attribute__((always_inline)) {
      const std::array<batch, sizeof...(V)> y = in_registers(std::array<batch, sizeof...(V)>{load(right[V])...});
      const auto add = [&](const batch& x, batch* sum) __attribute__((always_inline)) { ((sum[V] = multiply_add(x, y[V], sum[V])), ...); };
      (add(in_registers(std::array<batch, 1>{load(left[R])})[0], &sums[R * sizeof...(V)]), ...);
    };
    const T* fetch = next;
    index_t p = 0;
    for (; p + size <= depth; p += size, fetch += step) {
      if (sizeof...(R) > 1 || step != 0) (__builtin_prefetch(fetch + static_cast<index_t>(V) * stride, 0, 2), ...);
      add_products([&](const T* row) __attribute__((always_inline)) { return batch::load_unaligned(row + p); });
    }
    if (p < depth)
      add_products([&](const T* row) {
        std::array<T, batch::size> rest{};
        std::copy(row + p, row + depth, rest.data());
        return batch::load_unaligned(rest.data());
      });
    constexpr std::size_t registers = (sizeof...(S) + batch::size - 1) / batch::size;
    const auto totals = [&]<std::size_t... Q>(std::index_sequence<Q...>) __attribute__((always_inline)) {
      return std::array{(sums_of<T, Q * batch::size>(sums) * alpha)...};
    }(std::make_index_sequence<registers>{});
    const auto values = std::bit_cast<std::array<T, registers * batch::size>>(totals);
    const auto at = [&](std::size_t s) -> T& { return c[static_cast<index_t>(s / sizeof...(V)) * n + static_cast<index_t>(s % sizeof...(V))]; };
    if (height == static_cast<index_t>(sizeof...(R)) && count == static_cast<index_t>(sizeof...(V)) && beta == T{0}) {
      ((at(S) = values[S]), ...);
    } else {
      for (index_t r = 0; r < height; ++r)
        for (index_t v = 0; v < count; ++v) {
          const std::size_t s = static_cast<std::size_t>(r) * sizeof...(V) + static_cast<std::size_t>(v);
          at(s) = values[s] + (beta == T{0} ? T{0} : beta * at(s));
        }
    }
  }

  /// For a tile of 1 to `rows` rows and up to columns(that) columns. Not every height has a kernel: they take long to compile, and what
  /// bounds them is memory.
  void run() const {
    const auto of = [&]<index_t R>(std::integral_constant<index_t, R>) {
      constexpr auto width = static_cast<std::size_t>(columns(R));
      run(std::make_index_sequence<R>{}, std::make_index_sequence<width>{}, std::make_index_sequence<R * width>{});
    };
    if (height == 1) of(std::integral_constant<index_t, 1>{});
    else if (height == 2) of(std::integral_constant<index_t, 2>{});
    else if (height <= 4) of(std::integral_constant<index_t, 4>{});
    else of(std::integral_constant<index_t, rows>{});
  }
};

template <class T>
inline constexpr index_t few_rows = 2 * inner_product_tile<T>::rows;

/// As host::gemm with op(B) = B^T and up to few_rows rows: all tiles of A with one panel of B's rows, at one depth, after the other. The
/// depths keep A's tiles in the first-level cache.
template <class T>
void few_rows_gemm(index_t m, index_t n, index_t k, T alpha, const T* a, const T* b, T beta, T* c) {
  using tile = inner_product_tile<T>;
  const even_split depths(k, gemm_plan<T>::longest);
  const index_t width = tile::columns(m), grain = width * std::max<index_t>(8, (index_t{1} << 16) / (m * k * width));
  const index_t others = (static_cast<index_t>(thread_pool::instance().threads()) - 1) * grain;  // the blocks before this thread's next one
  const index_t tiles = (m + tile::rows - 1) / tile::rows;
  const index_t step = m == 1 ? 0 : static_cast<index_t>(xsimd::batch<T>::size) / tiles;  // for a lone row the hardware fetches
  parallel_blocks(n, grain, [&](index_t begin, index_t end) {
    for (index_t d = 0; d < depths.parts; ++d) {
      const index_t from = depths.begin(d), depth = depths.begin(d + 1) - from;
      const T* const after = d + 1 < depths.parts ? b + begin * k + from + depth : b + std::min(end + others, n - 1) * k;
      for (index_t j = begin; j < end; j += width) {
        const T *const panel = b + j * k + from, *const next = j + width < end ? panel + width * k : after;
        for (index_t t = 0; t < tiles; ++t) {
          const index_t i = t * tile::rows;
          const tile product{std::min(tile::rows, m - i), std::min(width, n - j), depth, alpha, a + i * k + from, panel, k,
                             d == 0 ? beta : T{1}, c + i * n + j, n, next + depth / tiles * t, step};
          product.run();
        }
      }
    }
  });
}

}  // namespace expunge::host::detail
