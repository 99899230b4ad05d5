// The product of few rows with a transposed matrix, a weight in generation: bound by reading that matrix, which is therefore read in place.
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

namespace expunge::host::detail {

/// The sums of `Count` registers from `First` on, those from `of.size()` on being 0: element i of a result of all is the sum of register
/// i. Registers are added in pairs after their halves are exchanged, within quarters of 16 bytes first.
template <class T, std::size_t First = 0, std::size_t Stride = 1, std::size_t Count = xsimd::batch<T>::size, std::size_t Size>
typename simd_register<T, xsimd::batch<T>::size>::type sums_of(const std::array<xsimd::batch<T>, Size>& of) {
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

  index_t n, k;
  T alpha;
  const T *a, *b;  // rows of k
  index_t count;   // of columns that there are; the last stands for the others
  T beta;          // 0 never reads C
  T* c;            // rows of n
  const T* soon;   // what to fetch meanwhile: for each vector of k as many lines as there are columns,
  index_t step;    // whose first is `step` elements after that of the vector before

  template <std::size_t... R, std::size_t... V, std::size_t... S>
  void run(std::index_sequence<R...>, std::index_sequence<V...>, std::index_sequence<S...>) const {
    using batch = xsimd::batch<T>;
    constexpr auto size = static_cast<index_t>(batch::size), width = static_cast<index_t>(sizeof...(V));
    std::array<batch, sizeof...(S)> sums{((void)S, batch(T{0}))...};  // [R][V]
    const std::array<const T*, sizeof...(R)> left{a + static_cast<index_t>(R) * k...};
    const std::array<const T*, sizeof...(V)> right{b + std::min(static_cast<index_t>(V), count - 1) * k...};
    const auto multiply_add = [&](auto load) __attribute__((always_inline)) {
      const std::array<batch, sizeof...(V)> y{load(right[V])...};
      const auto add = [&](const batch& x, batch* sum) __attribute__((always_inline)) { ((sum[V] = xsimd::fma(x, y[V], sum[V])), ...); };
      (add(load(left[R]), &sums[R * sizeof...(V)]), ...);
    };
    const T* fetch = soon;
    index_t p = 0;
    for (; p + size <= k; p += size, fetch += step) {
      if constexpr (sizeof...(R) > 1) (__builtin_prefetch(fetch + static_cast<index_t>(V) * prefetcher::line<T>, 0, 2), ...);
      multiply_add([&](const T* row) __attribute__((always_inline)) { return batch::load_unaligned(row + p); });
    }
    if (p < k)
      multiply_add([&](const T* row) {
        std::array<T, batch::size> rest{};
        std::copy(row + p, row + k, rest.data());
        return batch::load_unaligned(rest.data());
      });
    constexpr std::size_t registers = (sizeof...(S) + batch::size - 1) / batch::size;
    const auto totals = [&]<std::size_t... Q>(std::index_sequence<Q...>) __attribute__((always_inline)) {
      return std::array{(sums_of<T, Q * batch::size>(sums) * alpha)...};
    }(std::make_index_sequence<registers>{});
    const auto values = std::bit_cast<std::array<T, registers * batch::size>>(totals);
    const auto at = [&](std::size_t s) -> T& { return c[static_cast<index_t>(s / sizeof...(V)) * n + static_cast<index_t>(s % sizeof...(V))]; };
    if (count == width && beta == T{0}) ((at(S) = values[S]), ...);
    else
      for (std::size_t s = 0; s < sizeof...(S); ++s)
        if (static_cast<index_t>(s % sizeof...(V)) < count) at(s) = values[s] + (beta == T{0} ? T{0} : beta * at(s));
  }

  /// For a tile of 1 to `rows` rows and columns(that) columns.
  void run(index_t height) const {
    static constexpr auto kernels = []<std::size_t... R>(std::index_sequence<R...>) {
      return std::array<void (*)(const inner_product_tile&), sizeof...(R)>{[](const inner_product_tile& tile) {
        constexpr auto width = static_cast<std::size_t>(columns(R + 1));
        tile.run(std::make_index_sequence<R + 1>{}, std::make_index_sequence<width>{}, std::make_index_sequence<(R + 1) * width>{});
      }...};
    }(std::make_index_sequence<rows>{});
    kernels[static_cast<std::size_t>(height - 1)](*this);
  }
};

/// As host::gemm with op(B) = B^T: tiles of A with one panel of B's rows after the other, while the next panel comes from memory.
template <class T>
void few_rows_gemm(index_t m, index_t n, index_t k, T alpha, const T* a, const T* b, T beta, T* c) {
  using tile = inner_product_tile<T>;
  const even_split tiles(m, tile::rows);
  const index_t width = tile::columns(m), grain = width * std::max<index_t>(8, (index_t{1} << 16) / (m * k * width));
  const index_t others = (static_cast<index_t>(thread_pool::instance().threads()) - 1) * grain;  // before this thread's next block
  const index_t share = width * k / tiles.parts, step = width * static_cast<index_t>(xsimd::batch<T>::size) / tiles.parts;
  parallel_blocks(n, grain, [&](index_t begin, index_t end) {
    for (index_t j = begin; j < end; j += width) {
      const index_t next = std::min(j + width < end ? j + width : end + others, n - 1);
      for (index_t t = 0; t < tiles.parts; ++t) {
        const index_t i = tiles.begin(t);
        tile{n, k, alpha, a + i * k, b + j * k, std::min(width, n - j), beta, c + i * n + j, b + next * k + share * t, step}.run(tiles.begin(t + 1) - i);
      }
    }
  });
}

}  // namespace expunge::host::detail
