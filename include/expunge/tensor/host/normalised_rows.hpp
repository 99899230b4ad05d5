// What RMSNorm and LayerNorm share: derivatives of y = u * w + b with u = (x - mean) * rstd, row by row.
#pragma once

#include <algorithm>

#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/host/batches.hpp"
#include "expunge/tensor/host/rows.hpp"
#include "expunge/tensor/host/scratch.hpp"

// x [rows, cols]; w [cols]; mean, rstd [rows], kept from the value; a null `mean` stands for RMSNorm (nothing is subtracted). A null tangent
// (prefix d) is zero; a null cotangent output (suffix _bar) is not wanted, and any other is added to.
namespace expunge::host {

namespace detail {

/// One row of the normalised input and the linear map J = du/dx, which is symmetric. A row g is given by a function that makes its
/// batches from those of some arrays.
template <class T>
struct normalised_row {
  const T* x;
  index_t cols;
  bool centred;
  T mean, rstd;

  normalised_row(const T* x_, const T* mean_, const T* rstd_, index_t row, index_t cols_)
      : x(x_ + row * cols_), cols(cols_), centred(mean_ != nullptr), mean(centred ? mean_[row] : T{0}), rstd(rstd_[row]) {}

  using batch = xsimd::batch<T>;
  static constexpr auto product = [](const batch& a, const batch& b) { return a * b; };
  batch u(const batch& value) const { return (value - mean) * rstd; }

  /// What J takes from g: its part along the constant row and along u.
  struct parts {
    T constant, along;
  };
  template <class G, class... P>
  parts parts_of(const G& g, const P*... arrays) const {
    const T n = static_cast<T>(cols);
    const auto along = [&](const batch& value, const auto&... of) { return u(value) * g(of...); };
    return {centred ? sum_batches(cols, g, arrays...) / n : T{0}, sum_batches(cols, along, x, arrays...) / n};
  }
  /// A batch of J g, from those of g and u.
  batch project(const batch& g, const batch& u_value, const parts& of) const { return (g - of.constant - u_value * of.along) * rstd; }

  /// out += J (g w)
  void add_projected(const T* g, const T* w, T* out) const {
    const parts taken = parts_of(product, g, w);
    const auto add = [at = *this, taken](const batch& v, const batch& a, const batch& b, batch& to) { to += at.project(a * b, at.u(v), taken); };
    for_batches(cols, add, x, g, w, out);
  }
  /// The pullback at this row; a null output is not wanted.
  void pull_back(const T* g, const T* w, T* x_bar, T* w_bar, T* b_bar) const {
    if (x_bar != nullptr) add_projected(g, w, x_bar);
    if (w_bar != nullptr) for_batches(cols, [at = *this](const batch& v, const batch& a, batch& to) { to += a * at.u(v); }, x, g, w_bar);
    if (b_bar != nullptr) add_to(cols, g, b_bar);
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
    if (w_bar != nullptr) add_to(cols, partial + block * 2 * cols, w_bar);
    if (b_bar != nullptr) add_to(cols, partial + (block * 2 + 1) * cols, b_bar);
  }
}

}  // namespace detail

/// dy, overwritten, along (dx, dw, db).
template <class T>
void norm_pushforward(const T* x, const T* w, const T* mean, const T* rstd, const T* dx, const T* dw, const T* db, index_t rows,
                      index_t cols, T* dy) {
  using batch = xsimd::batch<T>;
  parallel_blocks(rows, detail::rows_per_block(cols), [&](index_t begin, index_t end) {
    for (index_t row = begin; row < end; ++row) {
      const detail::normalised_row<T> at(x, mean, rstd, row, cols);
      T* const out = dy + row * cols;
      if (dx != nullptr) {
        const T* const along = dx + row * cols;
        const auto taken = at.parts_of([](const batch& v) { return v; }, along);
        detail::for_batches(cols, [=](const batch& v, const batch& d, const batch& weight, batch& to) { to = at.project(d, at.u(v), taken) * weight; },
                    at.x, along, w, out);
      } else {
        std::fill_n(out, cols, T{0});
      }
      if (dw != nullptr) detail::for_batches(cols, [=](const batch& v, const batch& d, batch& to) { to += at.u(v) * d; }, at.x, dw, out);
      if (db != nullptr) detail::add_to(cols, db, out);
    }
  });
}

template <class T>
void norm_pullback(const T* x, const T* w, const T* mean, const T* rstd, const T* y_bar, index_t rows, index_t cols, T* x_bar,
                   T* w_bar, T* b_bar) {
  detail::sum_over_rows(rows, cols, w_bar, b_bar, [=](index_t row, T* w_sum, T* b_sum) {
    const detail::normalised_row<T> at(x, mean, rstd, row, cols);
    at.pull_back(y_bar + row * cols, w, x_bar != nullptr ? x_bar + row * cols : nullptr, w_sum, b_sum);
  });
}

/// Derivative of the pullback's (x_bar, w_bar, b_bar) along (dx, dw, dy_bar); a tangent of b changes none of them.
template <class T>
void norm_pullback_tangent(const T* x, const T* w, const T* mean, const T* rstd, const T* dx, const T* dw, const T* y_bar,
                           const T* dy_bar, index_t rows, index_t cols, T* dx_bar, T* dw_bar, T* db_bar) {
  using batch = xsimd::batch<T>;
  detail::sum_over_rows(rows, cols, dw_bar, db_bar, [=](index_t row, T* w_sum, T* b_sum) {
    const detail::normalised_row<T> at(x, mean, rstd, row, cols);
    const T* const g = y_bar + row * cols;
    T* const out = dx_bar != nullptr ? dx_bar + row * cols : nullptr;
    if (dy_bar != nullptr) at.pull_back(dy_bar + row * cols, w, out, w_sum, b_sum);
    if (dw != nullptr && out != nullptr) at.add_projected(g, dw, out);
    if (dx == nullptr) return;

    const T* const along = dx + row * cols;
    const auto of_dx = at.parts_of([](const batch& v) { return v; }, along);
    const auto du = [=](const batch& v, const batch& d) { return at.project(d, at.u(v), of_dx); };
    if (out != nullptr) {  // u_bar = g w, and d(rstd) / rstd = -slope
      const auto of_u_bar = at.parts_of(at.product, g, w);
      const T slope = of_dx.along * at.rstd, n = static_cast<T>(cols);
      const T mixed = detail::sum_batches(cols, [&](const batch& v, const batch& d, const batch& a, const batch& b) { return du(v, d) * a * b; },
                                  at.x, along, g, w) / n;
      const auto subtract = [=](const batch& v, const batch& d, const batch& a, const batch& b, batch& to) {
        to -= at.project(a * b, at.u(v), of_u_bar) * slope + (du(v, d) * of_u_bar.along + at.u(v) * mixed) * at.rstd;
      };
      detail::for_batches(cols, subtract, at.x, along, g, w, out);
    }
    if (w_sum != nullptr)
      detail::for_batches(cols, [=](const batch& v, const batch& d, const batch& a, batch& to) { to += a * du(v, d); }, at.x, along, g, w_sum);
  });
}

}  // namespace expunge::host
