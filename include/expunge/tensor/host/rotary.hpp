// Rotary position embedding (Su et al. 2021), in the rotate-half layout of Hugging Face: pairs (j, j + dim / 2) of a head.
#pragma once

#include <cstdint>

#include <Eigen/Core>

#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/host/rows.hpp"

namespace expunge::host {

/// y = R x, or R^T x (the pullback) with `transpose`, added to y with `accumulate`. R turns the pair (j, j + dim / 2) of every
/// head by the angle whose cosine and sine are cos[positions[row], j] and sin[positions[row], j].
/// x, y [rows, heads * dim], not overlapping; positions [rows]; cos, sin [max_position, dim / 2]; dim even. Linear in x.
template <class T>
void rotary(const T* x, const std::int32_t* positions, const T* cos, const T* sin, index_t rows, index_t heads, index_t dim,
            bool transpose, T* y, bool accumulate) {
  const index_t half = dim / 2;
  const T direction = transpose ? T{-1} : T{1};
  parallel_blocks(rows, detail::rows_per_block(heads * dim), [&](index_t begin, index_t end) {
    for (index_t row = begin; row < end; ++row) {
      const detail::const_array_map<T> c(cos + positions[row] * half, half);
      const detail::const_array_map<T> s(sin + positions[row] * half, half);
      for (index_t head = row * heads; head < (row + 1) * heads; ++head) {
        const detail::const_array_map<T> first(x + head * dim, half);
        const detail::const_array_map<T> second(x + head * dim + half, half);
        detail::array_map<T> y_first(y + head * dim, half);
        detail::array_map<T> y_second(y + head * dim + half, half);
        if (accumulate) {
          y_first += c * first - direction * s * second;
          y_second += c * second + direction * s * first;
        } else {
          y_first = c * first - direction * s * second;
          y_second = c * second + direction * s * first;
        }
      }
    }
  });
}

}  // namespace expunge::host
