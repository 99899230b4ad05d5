// Rotary position embedding (Su et al. 2021), in the rotate-half layout of Hugging Face: pairs (j, j + dim / 2) of a head.
#pragma once

#include <cstdint>

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
      const T* const c = cos + positions[row] * half;
      const T* const s = sin + positions[row] * half;
      for (index_t head = row * heads; head < (row + 1) * heads; ++head) {
        const T* const in = x + head * dim;
        T* const out = y + head * dim;
        const auto turn = [&](const auto& f) { detail::for_batches(half, f, c, s, in, in + half, out, out + half); };
        if (accumulate)
          turn([=](const auto& cj, const auto& sj, const auto& first, const auto& second, auto& y_first, auto& y_second) {
            y_first += cj * first - direction * sj * second;
            y_second += cj * second + direction * sj * first;
          });
        else
          turn([=](const auto& cj, const auto& sj, const auto& first, const auto& second, auto& y_first, auto& y_second) {
            y_first = cj * first - direction * sj * second;
            y_second = cj * second + direction * sj * first;
          });
      }
    }
  });
}

}  // namespace expunge::host
