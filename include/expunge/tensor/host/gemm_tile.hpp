// The inner kernel of a matrix product: a tile of the result kept in registers, and what is fetched while it computes.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <xsimd/xsimd.hpp>

#include "expunge/core/shape.hpp"
#include "expunge/tensor/host/multiply_add.hpp"

namespace expunge::host::detail {

/// The values, each in a register from now on. g++ would rather load one again for each multiply-add that reads it, and then loads bound a
/// kernel. (A loop over them stays a loop at -O2, through memory.)
template <class T, std::size_t Size>
[[gnu::always_inline]] inline std::array<xsimd::batch<T>, Size> in_registers(std::array<xsimd::batch<T>, Size> values) {
#ifdef __x86_64__
  [&]<std::size_t... I>(std::index_sequence<I...>) __attribute__((always_inline)) {
    const auto keep = [](xsimd::batch<T>& value) __attribute__((always_inline)) {
      auto data = value.data;
      asm("" : "+v"(data));
      value.data = data;
    };
    (keep(values[I]), ...);
  }(std::make_index_sequence<Size>{});
#endif
  return values;
}

/// A tile is `rows` x `vectors`: as many accumulators as the registers hold beside a row of B and a broadcast of A.
/// (On AVX-512, 8 x 3 loads less for a multiply-add than 14 x 2 and is about 2 % faster in cache.)
template <class T>
struct gemm_tile {
  using batch = xsimd::batch<T>;
  static constexpr bool many_registers = batch::size * sizeof(T) == 64;  // 32, else 16
  static constexpr std::size_t vectors = many_registers ? 3 : 2;
  static constexpr index_t rows = many_registers ? 8 : 6, width = static_cast<index_t>(vectors * batch::size);
};

/// Rows of a panel's width that will be needed soon, asked for line by line while something else is computed. Only a hint.
class prefetcher {
 public:
  static constexpr std::size_t lines = (gemm_tile<float>::vectors * sizeof(xsimd::batch<float>) + 63) / 64;  // of a row: those of a panel
  template <class T>
  static constexpr index_t line = 64 / sizeof(T);

  /// From now on: `rows` rows, `stride` elements apart, one after the other; then the last line again and again.
  template <class T>
  void begin(const T* from, index_t stride, index_t rows) {
    for (std::size_t i = 0; i < lines; ++i) at_[i] = reinterpret_cast<std::uintptr_t>(from) + 64 * i;
    stride_ = static_cast<std::uintptr_t>(stride) * sizeof(T);
    last_ = at_[lines - 1] + stride_ * static_cast<std::uintptr_t>(rows - 1);
  }

  void step() {
    const std::uintptr_t now = at_[0];
    __builtin_prefetch(reinterpret_cast<const char*>(now), 0, 2);  // to the second level: the first holds what is in use
    for (std::size_t i = 1; i < lines; ++i) at_[i - 1] = at_[i];
    at_[lines - 1] = std::min(now + stride_, last_);
  }

 private:
  std::array<std::uintptr_t, lines> at_{};  // the lines that come next, in order
  std::uintptr_t stride_ = 0, last_ = 0;
};

/// C = alpha A B + beta C for one tile. The factors are not arguments, which would take registers from the accumulators.
template <class T>
struct tile_product {
  index_t k;
  const T* a;  // row i at a + i * a_stride
  index_t a_stride;
  T* b;  // a panel [k][width] of which `columns` count
  index_t columns;
  T alpha, beta;  // beta = 0 never reads C
  T* c;
  index_t c_stride;

  /// For a tile of `sizeof...(R)` rows and `sizeof...(V)` vectors: packs, not loops, and all that is called is inlined, so that every sum
  /// stays in a register (with a call for B's vectors a product took five times as long). Each element is one chain of multiply-adds along
  /// k. With `fill` the panel's rows are still where they came from, `fill_stride` apart, and are copied into it on the way.
  template <bool fill, std::size_t... R, std::size_t... V>
  [[gnu::flatten]] void run(prefetcher& soon, const T* fill_from, index_t fill_stride, std::index_sequence<R...>, std::index_sequence<V...>) const {
    using batch = xsimd::batch<T>;
    using batches = std::array<batch, sizeof...(V)>;
    constexpr auto size = static_cast<index_t>(batch::size);
    constexpr index_t width = gemm_tile<T>::width, unrolled = gemm_tile<T>::many_registers ? 4 : 2;
    const auto row = [&](auto r) { return c + static_cast<index_t>(r) * c_stride; };
    ((__builtin_prefetch(row(R), 1), __builtin_prefetch(row(R) + columns / 2, 1), __builtin_prefetch(row(R) + columns - 1, 1)), ...);
    std::array<batches, sizeof...(R)> sums{((void)R, batches{((void)V, batch(T{0}))...})...};
    const index_t stride = a_stride, right_stride = fill ? fill_stride : width;
    std::array<const T*, (sizeof...(R) + 2) / 3> left;  // every third row: an address reaches the two after it by multiples of the stride
    for (std::size_t i = 0; i < left.size(); ++i) {
      left[i] = a + static_cast<index_t>(3 * i) * stride;
      asm("" : "+r"(left[i]));  // or g++ derives all of them from one, by more offsets than there are registers
    }
    const T* right = fill ? fill_from : b;
    T* panel = b;
    const auto add_products = [&](index_t p) __attribute__((always_inline)) {
      const batches y = in_registers(batches{batch::load_unaligned(right + p * right_stride + static_cast<index_t>(V) * size)...});
      if constexpr (fill) (y[V].store_unaligned(panel + p * width + static_cast<index_t>(V) * size), ...);
      const auto add = [&](const batch& x, batches& sum) __attribute__((always_inline)) { ((sum[V] = multiply_add(x, y[V], sum[V])), ...); };
      (add(batch(left[R / 3][static_cast<index_t>(R % 3) * stride + p]), sums[R]), ...);
    };
    const auto advance = [&]<index_t... P>(std::integer_sequence<index_t, P...>) __attribute__((always_inline)) {
      (add_products(P), ...);
      constexpr index_t count = sizeof...(P);
      for (const T*& at : left) at += count;
      right += count * right_stride, panel += count * width;
    };
    prefetcher ahead = soon;  // a copy that nobody else can see, so that it stays in registers
    const T* const end = a + k;
    while (end - left[0] >= unrolled) {
      if ((end - left[0]) / unrolled % (4 / unrolled) == 0) ahead.step();  // every four rows
      advance(std::make_integer_sequence<index_t, unrolled>{});
    }
    while (left[0] != end) advance(std::make_integer_sequence<index_t, 1>{});
    soon = ahead;
    const batch factor(alpha), kept(beta);
    if (columns == width && beta == T{0}) {
      const auto put = [&](const batches& sum, T* at) { ((factor * sum[V]).store_unaligned(at + static_cast<index_t>(V) * size), ...); };
      (put(sums[R], row(R)), ...);
    } else if (columns == width) {
      const auto add = [&](const batch& sum, T* at) { multiply_add(kept, batch::load_unaligned(at), factor * sum).store_unaligned(at); };
      const auto add_row = [&](const batches& sum, T* at) { (add(sum[V], at + static_cast<index_t>(V) * size), ...); };
      (add_row(sums[R], row(R)), ...);
    } else {
      std::array<T, static_cast<std::size_t>(width)> values;
      const auto put_some = [&](const batches& sum, T* at) {
        ((factor * sum[V]).store_unaligned(values.data() + static_cast<index_t>(V) * size), ...);
        for (index_t j = 0; j < columns; ++j) at[j] = values[static_cast<std::size_t>(j)] + (beta == T{0} ? T{0} : beta * at[j]);
      };
      (put_some(sums[R], row(R)), ...);
    }
  }

  /// For a tile of 1 to gemm_tile<T>::rows rows.
  void run(index_t rows, prefetcher& soon) const {
    static constexpr auto kernels = []<std::size_t... R>(std::index_sequence<R...>) {
      return std::array<void (*)(const tile_product&, prefetcher&), sizeof...(R)>{[](const tile_product& tile, prefetcher& ahead) {
        tile.run<false>(ahead, nullptr, 0, std::make_index_sequence<R + 1>{}, std::make_index_sequence<gemm_tile<T>::vectors>{});
      }...};
    }(std::make_index_sequence<gemm_tile<T>::rows>{});
    kernels[static_cast<std::size_t>(rows - 1)](*this, soon);
  }

  /// For a tile of gemm_tile<T>::rows rows and all columns, which fills its panel from rows `stride` apart.
  void run_and_fill(const T* from, index_t stride, prefetcher& soon) const {
    run<true>(soon, from, stride, std::make_index_sequence<gemm_tile<T>::rows>{}, std::make_index_sequence<gemm_tile<T>::vectors>{});
  }
};

}  // namespace expunge::host::detail
