// LayerNorm over rows (Ba et al. 2016): y = (x - mean) * rstd * w + b with rstd = 1 / sqrt(variance + epsilon).
#pragma once

#include <cmath>

#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/host/normalised_rows.hpp"

// x, y [rows, cols]; w, b [cols]; mean, rstd [rows], kept from the value for the derivatives. A null tangent (prefix d) is zero;
// a null cotangent output (suffix _bar) is not wanted, and any other is added to.
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

/// dy, overwritten, along (dx, dw, db).
template <class T>
void layer_norm_pushforward(const T* x, const T* w, const T* mean, const T* rstd, const T* dx, const T* dw, const T* db,
                            index_t rows, index_t cols, T* dy) {
  detail::norm_pushforward<T>(x, w, mean, rstd, dx, dw, db, rows, cols, dy);
}

template <class T>
void layer_norm_pullback(const T* x, const T* w, const T* mean, const T* rstd, const T* y_bar, index_t rows, index_t cols,
                         T* x_bar, T* w_bar, T* b_bar) {
  detail::norm_pullback<T>(x, w, mean, rstd, y_bar, rows, cols, x_bar, w_bar, b_bar);
}

/// Derivative of the pullback's (x_bar, w_bar, b_bar) along (dx, dw, dy_bar); a tangent of b changes none of them.
template <class T>
void layer_norm_pullback_tangent(const T* x, const T* w, const T* mean, const T* rstd, const T* dx, const T* dw,
                                 const T* y_bar, const T* dy_bar, index_t rows, index_t cols, T* dx_bar, T* dw_bar, T* db_bar) {
  detail::norm_pullback_tangent<T>(x, w, mean, rstd, dx, dw, y_bar, dy_bar, rows, cols, dx_bar, dw_bar, db_bar);
}

}  // namespace expunge::host
