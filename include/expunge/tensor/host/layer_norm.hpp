// LayerNorm over rows (Ba et al. 2016): y = (x - mean) * rstd * w + b with rstd = 1 / sqrt(variance + epsilon).
#pragma once

#include <cmath>

#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/host/normalised_rows.hpp"

// x, y [rows, cols]; w, b [cols]; mean, rstd [rows], kept for the derivatives (normalised_rows.hpp).
namespace expunge::host {

template <class T>
void layer_norm(const T* x, const T* w, const T* b, T epsilon, index_t rows, index_t cols, T* y, T* mean, T* rstd) {
  parallel_blocks(rows, detail::rows_per_block(cols), [&](index_t begin, index_t end) {
    for (index_t row = begin; row < end; ++row) {
      const T* const in = x + row * cols;
      const T n = static_cast<T>(cols), middle = detail::sum_of(cols, in) / n;
      const T variance = detail::sum_batches(cols, [=](const auto& v) { return (v - middle) * (v - middle); }, in) / n;
      const T r = T{1} / std::sqrt(variance + epsilon);
      mean[row] = middle;
      rstd[row] = r;
      const auto normalise = [=](const auto& v, const auto& weight, const auto& bias, auto& to) { to = (v - middle) * r * weight + bias; };
      detail::for_batches(cols, normalise, in, w, b, y + row * cols);
    }
  });
}

}  // namespace expunge::host
