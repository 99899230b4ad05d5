// RMSNorm over rows (Zhang and Sennrich 2019): y = x * rstd * w with rstd = 1 / sqrt(mean(x^2) + epsilon).
#pragma once

#include <cmath>

#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/host/normalised_rows.hpp"

// x, y [rows, cols]; w [cols]; rstd [rows], kept from the value for the derivatives. A null tangent (prefix d) is zero; a null
// cotangent output (suffix _bar) is not wanted, and any other is added to.
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

/// dy, overwritten, along (dx, dw).
template <class T>
void rms_norm_pushforward(const T* x, const T* w, const T* rstd, const T* dx, const T* dw, index_t rows, index_t cols, T* dy) {
  detail::norm_pushforward<T>(x, w, nullptr, rstd, dx, dw, nullptr, rows, cols, dy);
}

template <class T>
void rms_norm_pullback(const T* x, const T* w, const T* rstd, const T* y_bar, index_t rows, index_t cols, T* x_bar, T* w_bar) {
  detail::norm_pullback<T>(x, w, nullptr, rstd, y_bar, rows, cols, x_bar, w_bar, nullptr);
}

/// Derivative of the pullback's (x_bar, w_bar) along (dx, dw, dy_bar).
template <class T>
void rms_norm_pullback_tangent(const T* x, const T* w, const T* rstd, const T* dx, const T* dw, const T* y_bar, const T* dy_bar,
                               index_t rows, index_t cols, T* dx_bar, T* dw_bar) {
  detail::norm_pullback_tangent<T>(x, w, nullptr, rstd, dx, dw, y_bar, dy_bar, rows, cols, dx_bar, dw_bar, nullptr);
}

}  // namespace expunge::host
