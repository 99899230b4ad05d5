// Row-wise data movement and reductions on the host: gather, scatter, broadcast, sums over rows and over segments of rows.
#pragma once

#include <algorithm>
#include <cstdint>

#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/host/batches.hpp"

namespace expunge::host {

namespace detail {
inline index_t rows_per_block(index_t cols) { return std::max<index_t>(1, 16384 / std::max<index_t>(1, cols)); }
}  // namespace detail

/// out[r, :] = table[rows[r], :]
template <class T>
void gather_rows(const T* table, const std::int32_t* rows, index_t count, index_t cols, T* out) {
  parallel_blocks(count, detail::rows_per_block(cols), [&](index_t begin, index_t end) {
    for (index_t r = begin; r < end; ++r) std::copy_n(table + rows[r] * cols, cols, out + r * cols);
  });
}

/// table[rows[r], :] += values[r, :]; rows may repeat, so that blocks are of columns.
template <class T>
void scatter_add_rows(const T* values, const std::int32_t* rows, index_t count, index_t cols, T* table) {
  parallel_blocks(cols, 64, [&](index_t begin, index_t end) {
    for (index_t r = 0; r < count; ++r) detail::add_to(end - begin, values + r * cols + begin, table + rows[r] * cols + begin);
  });
}

/// out[r, :] = row for every row.
template <class T>
void broadcast_row(const T* row, index_t rows, index_t cols, T* out) {
  for (index_t r = 0; r < rows; ++r) std::copy_n(row, cols, out + r * cols);
}

/// out[s, :] += sum of values[r, :] over offsets[s] <= r < offsets[s + 1].
template <class T>
void segment_sum(const T* values, const std::int32_t* offsets, index_t segments, index_t cols, T* out) {
  parallel_for(segments, [&](index_t s) {
    for (index_t r = offsets[s]; r < offsets[s + 1]; ++r) detail::add_to(cols, values + r * cols, out + s * cols);
  });
}

/// out[r, :] += values[s, :] for the rows r of segment s.
template <class T>
void segment_broadcast(const T* values, const std::int32_t* offsets, index_t segments, index_t cols, T* out) {
  parallel_for(segments, [&](index_t s) {
    for (index_t r = offsets[s]; r < offsets[s + 1]; ++r) detail::add_to(cols, values + s * cols, out + r * cols);
  });
}

/// out[:] += sum over rows of values[r, :], in one fixed order.
template <class T>
void column_sum(const T* values, index_t rows, index_t cols, T* out) {
  parallel_blocks(cols, 256, [&](index_t begin, index_t end) {
    for (index_t r = 0; r < rows; ++r) detail::add_to(end - begin, values + r * cols + begin, out + begin);
  });
}

/// out[r, :] += values[s, :] * factor[r, :] for the rows r of segment s: a gate of one value per example and neuron. From one segment's
/// values to the next are `step` elements: cols, or 0 where all have the same.
template <class T>
void segment_multiply(const T* values, index_t step, const T* factor, const std::int32_t* offsets, index_t segments, index_t cols, T* out) {
  parallel_for(segments, [&](index_t s) {
    for (index_t r = offsets[s]; r < offsets[s + 1]; ++r)
      detail::for_batches(cols, [](const auto& v, const auto& f, auto& to) { to += v * f; }, values + s * step, factor + r * cols, out + r * cols);
  });
}

/// out[r, :] = values[r, :] * factor[r]
template <class T>
void scale_rows(const T* values, const T* factor, index_t rows, index_t cols, T* out) {
  parallel_blocks(rows, detail::rows_per_block(cols), [&](index_t begin, index_t end) {
    for (index_t r = begin; r < end; ++r)
      detail::for_batches(cols, [f = factor[r]](const auto& v, auto& to) { to = v * f; }, values + r * cols, out + r * cols);
  });
}

/// Over the rows of each segment, of the products a[r, :] * b[r, :]: their sum, largest and smallest, each [segments, cols];
/// a null output is not computed. An empty segment gives 0.
template <class T>
void segment_products(const T* a, const T* b, const std::int32_t* offsets, index_t segments, index_t cols, T* sum, T* largest,
                      T* smallest) {
  parallel_for(segments, [&](index_t s) {
    for (T* out : {sum, largest, smallest})
      if (out != nullptr) std::fill_n(out + s * cols, cols, T{0});
    const index_t first = offsets[s];
    for (index_t r = first; r < offsets[s + 1]; ++r) {
      const auto gather = [&](T* out, const auto& f) {  // out is 0 before the first row
        if (out != nullptr) detail::for_batches(cols, f, a + r * cols, b + r * cols, out + s * cols);
      };
      gather(sum, [](const auto& x, const auto& y, auto& to) { to += x * y; });
      gather(largest, [&](const auto& x, const auto& y, auto& to) { to = r == first ? x * y : xsimd::max(to, x * y); });
      gather(smallest, [&](const auto& x, const auto& y, auto& to) { to = r == first ? x * y : xsimd::min(to, x * y); });
    }
  });
}

}  // namespace expunge::host
