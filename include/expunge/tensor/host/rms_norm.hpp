// RMSNorm over rows (Zhang and Sennrich 2019): y = x * rstd * w with rstd = 1 / sqrt(mean(x^2) + epsilon).
#pragma once

#include <cmath>

#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/host/normalised_rows.hpp"

// x, y [rows, cols]; w [cols]; rstd [rows], kept for the derivatives (normalised_rows.hpp).
namespace expunge::host {

template <class T>
void rms_norm(const T* x, const T* w, T epsilon, index_t rows, index_t cols, T* y, T* rstd) {
  parallel_blocks(rows, detail::rows_per_block(cols), [&](index_t begin, index_t end) {
    for (index_t row = begin; row < end; ++row) {
      const T* const in = x + row * cols;
      const T square = detail::dot(cols, in, in) / static_cast<T>(cols);
      const T r = T{1} / std::sqrt(square + epsilon);
      rstd[row] = r;
      detail::for_batches(cols, [r](const auto& v, const auto& weight, auto& to) { to = v * r * weight; }, in, w, y + row * cols);
    }
  });
}

}  // namespace expunge::host
