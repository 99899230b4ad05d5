// Products of small row-major blocks where they lie, on the calling thread: those of attention, which are too small to pay for packing.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include <xsimd/xsimd.hpp>

#include "expunge/core/shape.hpp"
#include "expunge/tensor/host/gemm_pack.hpp"
#include "expunge/tensor/host/multiply_add.hpp"
#include "expunge/tensor/host/scratch.hpp"

namespace expunge::host::detail {

/// Rows of elements next to each other, `stride` apart.
template <class T>
struct rows_at {
  T* data;
  index_t stride;
  T* operator[](index_t row) const { return data + row * stride; }
  [[nodiscard]] rows_at from(index_t row, index_t column) const { return {data + row * stride + column, stride}; }
  operator rows_at<const T>() const { return {data, stride}; }
};

/// A left operand: element (i, p) at data[i * row_step + p * depth_step], so that a transposed one is read in place.
template <class T>
struct left_operand {
  const T* data;
  index_t row_step, depth_step;
};

/// C = factor A B, or with `add` C += factor A B, for one tile in registers: each element is one chain of multiply-adds.
template <class T>
struct small_tile {
  using batch = xsimd::batch<T>;
  static constexpr auto size = static_cast<index_t>(batch::size);
  static constexpr std::size_t vectors = batch::size * sizeof(T) == 64 ? 4 : 2;  // of a wide tile; AVX-512 has twice the registers
  static constexpr index_t rows = 6, width = static_cast<index_t>(vectors) * size;

  left_operand<T> a;
  rows_at<const T> b;  // whole batches may be read
  index_t depth, columns;
  T factor;
  bool add;
  rows_at<T> c;

  template <std::size_t... R, std::size_t... V>
  [[gnu::flatten]] void run(std::index_sequence<R...>, std::index_sequence<V...>) const {
    using batches = std::array<batch, sizeof...(V)>;
    std::array<batches, sizeof...(R)> sums{((void)R, batches{((void)V, batch(T{0}))...})...};
    const T *x = a.data, *y = b.data;
    for (index_t p = 0; p < depth; ++p, x += a.depth_step, y += b.stride) {
      const batches right{batch::load_unaligned(y + static_cast<index_t>(V) * size)...};
      const auto step = [&](const batch& left, batches& sum) { ((sum[V] = multiply_add(left, right[V], sum[V])), ...); };
      (step(batch(x[static_cast<index_t>(R) * a.row_step]), sums[R]), ...);
    }
    const batch by(factor);
    const auto put = [&](const batch& sum, T* to) {
      (add ? multiply_add(by, sum, batch::load_unaligned(to)) : by * sum).store_unaligned(to);
    };
    const auto put_row = [&](const batches& sum, T* to) {
      if (columns < size) {
        std::array<T, batch::size> part{};
        std::copy_n(to, columns, part.data());
        put(sum[0], part.data());
        std::copy_n(part.data(), columns, to);
      } else {
        (put(sum[V], to + static_cast<index_t>(V) * size), ...);
      }
    };
    (put_row(sums[R], c[static_cast<index_t>(R)]), ...);
  }

  /// For 1 to `rows` rows, of one vector or of all.
  void run(index_t height) const {
    static constexpr auto kernels = []<std::size_t... R>(std::index_sequence<R...>) {
      using kernel = void (*)(const small_tile&);
      return std::array<std::array<kernel, 2>, sizeof...(R)>{
          std::array<kernel, 2>{[](const small_tile& t) { t.run(std::make_index_sequence<R + 1>{}, std::index_sequence<0>{}); },
                                [](const small_tile& t) { t.run(std::make_index_sequence<R + 1>{}, std::make_index_sequence<vectors>{}); }}...};
    }(std::make_index_sequence<rows>{});
    kernels[static_cast<std::size_t>(height - 1)][columns == width ? 1 : 0](*this);
  }
};

struct last_columns;  // a purpose of scratch memory

/// C[m, n] = factor A[m, k] B[k, n], or with `add` C += factor A B.
template <class T>
void small_product(index_t m, index_t n, index_t k, T factor, left_operand<T> a, rows_at<const T> b, bool add, rows_at<T> c) {
  using tile = small_tile<T>;
  for (index_t j = 0, columns = 0; j < n; j += columns) {
    columns = n - j >= tile::width ? tile::width : std::min(n - j, tile::size);
    rows_at<const T> right{b.data + j, b.stride};
    if (columns < tile::size) {  // less than a batch
      T* const copy = scratch<last_columns, T>(k * tile::size);
      pack_straight(right.data, right.stride, k, columns, copy, tile::size);
      right = {copy, tile::size};
    }
    for (index_t i = 0; i < m; i += tile::rows)
      tile{{a.data + i * a.row_step, a.row_step, a.depth_step}, right, k, columns, factor, add, c.from(i, j)}.run(std::min(tile::rows, m - i));
  }
}

}  // namespace expunge::host::detail
