// Matrix products on the host: op(A) packed once by all threads, then tiles of the result, column panel by column panel.
#pragma once

#include <algorithm>

#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/host/gemm_tile.hpp"
#include "expunge/tensor/host/scratch.hpp"

namespace expunge::host {

namespace detail {
// Purposes of scratch memory.
struct packed_rows;
struct packed_columns;

/// `size` things in as few nearly equal parts as `most` allows: part i begins at begin(i).
struct even_split {
  index_t size, parts;
  even_split(index_t whole, index_t most) : size(whole), parts((whole + most - 1) / most) {}
  [[nodiscard]] index_t begin(index_t i) const { return i * (size / parts) + std::min(i, size % parts); }
};
}  // namespace detail

/// C[m, n] = alpha * op(A) op(B) + beta * C, row-major and contiguous; op(A) is [m, k], op(B) is [k, n], and a transposed
/// operand is stored as [k, m] or [n, k]. beta = 0 never reads C. The same bits for any number of threads.
template <class T>
void gemm(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, T alpha, const T* a, const T* b, T beta, T* c) {
  constexpr index_t width = detail::gemm_tile<T>::width, step = detail::gemm_tile<T>::step;
  constexpr index_t longest = 1024;  // of k at once: a panel of B and a tile of A stay in the second-level cache
  if (m == 0 || n == 0) return;
  if (k == 0) {
    for (index_t i = 0; i < m * n; ++i) c[i] = beta == T{0} ? T{0} : beta * c[i];
    return;
  }
  const detail::even_split tiles(m, detail::gemm_tile<T>::rows), depths(k, longest);
  const index_t panels = (n + width - 1) / width;
  // Row groups give threads work where columns are few; a panel is packed again for each, so a group is many tiles.
  const detail::even_split groups(tiles.parts, std::max<index_t>(16, (tiles.parts * panels + 63) / 64));
  for (index_t depth = 0; depth < depths.parts; ++depth) {
    const index_t from = depths.begin(depth), length = depths.begin(depth + 1) - from;
    const T keep = depth == 0 ? beta : T{1};
    T* const rows = detail::scratch<detail::packed_rows, T>(tiles.parts * step * length);
    parallel_blocks(tiles.parts, std::max<index_t>(1, (index_t{1} << 16) * tiles.parts / (m * length)), [&](index_t begin, index_t end) {
      for (index_t t = begin; t < end; ++t) {
        const index_t i = tiles.begin(t), count = tiles.begin(t + 1) - i;
        T* const packed = rows + t * step * length;
        if (transpose_a) detail::pack_straight(a + from * m + i, m, count, m - i, length, packed, step);
        else detail::pack_transposed(a + i * k + from, k, count, length, packed, step);
      }
    });
    const index_t tasks = panels * groups.parts;
    parallel_blocks(tasks, std::max<index_t>(1, (index_t{1} << 17) * tasks / (m * n * length)), [&](index_t begin, index_t end) {
      T* const columns = detail::scratch<detail::packed_columns, T>(width * length);
      for (index_t task = begin; task < end; ++task) {
        const index_t j = task / groups.parts * width, group = task % groups.parts, count = std::min(width, n - j);
        if (transpose_b) detail::pack_transposed(b + j * k + from, k, count, length, columns, width);
        else detail::pack_straight(b + from * n + j, n, count, count, length, columns, width);
        for (index_t t = groups.begin(group); t < groups.begin(group + 1); ++t) {
          const index_t i = tiles.begin(t);
          detail::multiply_tile(tiles.begin(t + 1) - i, length, rows + t * step * length, columns, alpha, keep, c + i * n + j, n, count);
        }
      }
    });
  }
}

}  // namespace expunge::host
