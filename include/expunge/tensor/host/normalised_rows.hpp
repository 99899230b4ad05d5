// What RMSNorm and LayerNorm share: derivatives of y = u * w + b with u = (x - mean) * rstd, row by row.
#pragma once

#include <algorithm>

#include <Eigen/Core>

#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/host/rows.hpp"
#include "expunge/tensor/host/scratch.hpp"

// In this header a null `mean` stands for RMSNorm (nothing is subtracted); rows and cols are those of x; the other names are
// those of the public kernels.
namespace expunge::host::detail {

/// One row of the normalised input and the linear map J = du/dx, which is symmetric.
template <class T>
struct normalised_row {
  const_array_map<T> x;
  bool centred;
  T mean, rstd;

  normalised_row(const T* x_, const T* mean_, const T* rstd_, index_t row, index_t cols)
      : x(x_ + row * cols, cols), centred(mean_ != nullptr), mean(centred ? mean_[row] : T{0}), rstd(rstd_[row]) {}

  auto u() const { return (x - mean) * rstd; }

  /// g without its part along the constant row and along u, an expression; J g is rstd times this.
  template <class G>
  auto project(const G& g) const {
    return g - (centred ? g.mean() : T{0}) - u() * (u() * g).mean();
  }
};

struct column_partials;

/// Calls work(row, w_sum, b_sum) for every row, then adds the sums to w_bar and b_bar; a null one is not wanted. Sums are kept
/// for fixed blocks of rows and added in the order of the blocks.
template <class T, class Work>
void sum_over_rows(index_t rows, index_t cols, T* w_bar, T* b_bar, const Work& work) {
  constexpr index_t grain = 16;
  const index_t blocks = (rows + grain - 1) / grain;
  T* const partial = w_bar != nullptr || b_bar != nullptr ? scratch<column_partials, T>(2 * blocks * cols) : nullptr;
  parallel_blocks(rows, grain, [&](index_t begin, index_t end) {
    T* const w_sum = w_bar != nullptr ? partial + begin / grain * 2 * cols : nullptr;
    T* const b_sum = b_bar != nullptr ? partial + (begin / grain * 2 + 1) * cols : nullptr;
    for (T* sum : {w_sum, b_sum})
      if (sum != nullptr) std::fill_n(sum, cols, T{0});
    for (index_t row = begin; row < end; ++row) work(row, w_sum, b_sum);
  });
  for (index_t block = 0; block < blocks; ++block) {
    if (w_bar != nullptr) array_map<T>(w_bar, cols) += const_array_map<T>(partial + block * 2 * cols, cols);
    if (b_bar != nullptr) array_map<T>(b_bar, cols) += const_array_map<T>(partial + (block * 2 + 1) * cols, cols);
  }
}

template <class T>
void norm_pushforward(const T* x, const T* w, const T* mean, const T* rstd, const T* dx, const T* dw, const T* db, index_t rows,
                      index_t cols, T* dy) {
  const auto map = [cols](const T* from) { return const_array_map<T>(from, cols); };
  parallel_blocks(rows, rows_per_block(cols), [&](index_t begin, index_t end) {
    for (index_t row = begin; row < end; ++row) {
      const normalised_row<T> at(x, mean, rstd, row, cols);
      array_map<T> out(dy + row * cols, cols);
      out.setZero();
      if (dx != nullptr) out += at.project(map(dx + row * cols)) * map(w) * at.rstd;
      if (dw != nullptr) out += at.u() * map(dw);
      if (db != nullptr) out += map(db);
    }
  });
}

template <class T>
void norm_pullback(const T* x, const T* w, const T* mean, const T* rstd, const T* y_bar, index_t rows, index_t cols, T* x_bar,
                   T* w_bar, T* b_bar) {
  sum_over_rows(rows, cols, w_bar, b_bar, [=](index_t row, T* w_sum, T* b_sum) {
    const normalised_row<T> at(x, mean, rstd, row, cols);
    const const_array_map<T> g(y_bar + row * cols, cols);
    if (x_bar != nullptr)
      array_map<T>(x_bar + row * cols, cols) += at.project(g * const_array_map<T>(w, cols)) * at.rstd;
    if (w_sum != nullptr) array_map<T>(w_sum, cols) += g * at.u();
    if (b_sum != nullptr) array_map<T>(b_sum, cols) += g;
  });
}

template <class T>
void norm_pullback_tangent(const T* x, const T* w, const T* mean, const T* rstd, const T* dx, const T* dw, const T* y_bar,
                           const T* dy_bar, index_t rows, index_t cols, T* dx_bar, T* dw_bar, T* db_bar) {
  const auto map = [cols](const T* from) { return const_array_map<T>(from, cols); };
  sum_over_rows(rows, cols, dw_bar, db_bar, [=](index_t row, T* w_sum, T* b_sum) {
    const normalised_row<T> at(x, mean, rstd, row, cols);
    const auto g = map(y_bar + row * cols);
    if (dy_bar != nullptr) {
      const auto dg = map(dy_bar + row * cols);
      if (dx_bar != nullptr) array_map<T>(dx_bar + row * cols, cols) += at.project(dg * map(w)) * at.rstd;
      if (w_sum != nullptr) array_map<T>(w_sum, cols) += dg * at.u();
      if (b_sum != nullptr) array_map<T>(b_sum, cols) += dg;
    }
    if (dw != nullptr && dx_bar != nullptr)
      array_map<T>(dx_bar + row * cols, cols) += at.project(g * map(dw)) * at.rstd;
    if (dx != nullptr) {
      const auto u = at.u();
      const auto du = at.project(map(dx + row * cols)) * at.rstd;
      if (dx_bar != nullptr) {
        const auto u_bar = g * map(w);
        const T slope = (u * map(dx + row * cols)).mean() * at.rstd;  // -d(rstd) / rstd
        array_map<T>(dx_bar + row * cols, cols) -=
            (at.project(u_bar) * slope + du * (u * u_bar).mean() + u * (du * u_bar).mean()) * at.rstd;
      }
      if (w_sum != nullptr) array_map<T>(w_sum, cols) += g * du;
    }
  });
}

}  // namespace expunge::host::detail
