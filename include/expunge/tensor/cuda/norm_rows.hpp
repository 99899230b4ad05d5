// The arithmetic of RMSNorm and LayerNorm on a device: the threads of a block share a row (see host/normalised_rows.hpp).
#pragma once

#include "expunge/tensor/cuda/lanes.hpp"
#include "expunge/tensor/fn.hpp"

// y = u w + b with u = (x - mean) rstd; null mean and b stand for RMSNorm. Null tangents (prefix d) are zero; cotangents
// (suffix _bar) are added to; sums over rows for w and b are made elsewhere.
namespace expunge::cuda {

template <class T>
struct norm_arguments {
  index_t cols;
  const T *x, *w, *mean, *rstd;
  const T *dx, *dw, *db, *g, *dg;
};

/// What remains of a vector a after its part along the constant row and along u is taken away: a - mean - u along.
template <class T>
struct projection {
  T mean, along;
};

/// One row of the arguments.
template <class T, class Lanes>
struct norm_row {
  const norm_arguments<T>& n;
  const Lanes& lanes;
  index_t start;
  bool centred;
  T mean, rstd;

  EXPUNGE_DEVICE norm_row(const norm_arguments<T>& arguments, const Lanes& of, index_t row)
      : n(arguments), lanes(of), start(row * n.cols), centred(n.mean != nullptr), mean(centred ? n.mean[row] : T{0}), rstd(n.rstd[row]) {}

  EXPUNGE_DEVICE T u(index_t j) const { return (n.x[start + j] - mean) * rstd; }
  template <class F>
  EXPUNGE_DEVICE T average(const F& f) const {
    return sum_over(lanes, n.cols, f) / static_cast<T>(n.cols);
  }
  template <class F>
  EXPUNGE_DEVICE projection<T> project(const F& a) const {
    const T m = centred ? average(a) : T{0};
    return {m, average([&](index_t j) { return u(j) * a(j); })};
  }
  EXPUNGE_DEVICE T apply(const projection<T>& p, T a, index_t j) const { return a - p.mean - u(j) * p.along; }
};

/// y, and mean (where not null) and rstd of the row.
template <class T, class Y, class Lanes>
EXPUNGE_DEVICE void norm_forward(const Lanes& lanes, const T* x, const T* w, const T* b, T epsilon, index_t row, index_t cols, Y* y,
                                 T* mean, T* rstd) {
  const T* in = x + row * cols;
  const T size = static_cast<T>(cols);
  const T m = mean != nullptr ? sum_over(lanes, cols, [&](index_t j) { return in[j]; }) / size : T{0};
  const T square = sum_over(lanes, cols, [&](index_t j) { return (in[j] - m) * (in[j] - m); }) / size;
  const T r = T{1} / fn::sqrt(square + epsilon);
  write_each(lanes, cols, y + row * cols, [&](index_t j) { return (in[j] - m) * r * w[j] + (b != nullptr ? b[j] : T{0}); });
  if (lanes.index() != 0) return;
  if (mean != nullptr) mean[row] = m;
  rstd[row] = r;
}

/// dy, overwritten.
template <class T, class Y, class Lanes>
EXPUNGE_DEVICE void norm_pushforward(const Lanes& lanes, const norm_arguments<T>& n, index_t row, Y* dy) {
  const norm_row<T, Lanes> at(n, lanes, row);
  projection<T> p{};
  if (n.dx != nullptr) p = at.project([&](index_t j) { return n.dx[at.start + j]; });
  write_each(lanes, n.cols, dy + at.start, [&](index_t j) {
    T out = 0;
    if (n.dx != nullptr) out += at.apply(p, n.dx[at.start + j], j) * n.w[j] * at.rstd;
    if (n.dw != nullptr) out += at.u(j) * n.dw[j];
    if (n.db != nullptr) out += n.db[j];
    return out;
  });
}

template <class T, class Lanes>
EXPUNGE_DEVICE void norm_pullback(const Lanes& lanes, const norm_arguments<T>& n, index_t row, T* x_bar) {
  const norm_row<T, Lanes> at(n, lanes, row);
  const auto a = [&](index_t j) { return n.g[at.start + j] * n.w[j]; };
  const projection<T> p = at.project(a);
  write_each(lanes, n.cols, x_bar + at.start, [&](index_t j) { return x_bar[at.start + j] + at.apply(p, a(j), j) * at.rstd; });
}

/// The tangent of x_bar (null: not wanted), and the projection of dx that the weight's cotangent needs, projections[row].
template <class T, class Lanes>
EXPUNGE_DEVICE void norm_pullback_tangent(const Lanes& lanes, const norm_arguments<T>& n, index_t row, T* dx_bar, projection<T>* projections) {
  const norm_row<T, Lanes> at(n, lanes, row);
  const auto u_bar = [&](index_t j) { return n.g[at.start + j] * n.w[j]; };
  projection<T> p{};
  if (n.dx != nullptr) p = at.project([&](index_t j) { return n.dx[at.start + j]; });
  if (lanes.index() == 0) projections[row] = p;
  if (dx_bar == nullptr) return;
  const T slope = p.along * at.rstd;  // -d(rstd) / rstd
  const auto du = [&](index_t j) { return n.dx == nullptr ? T{0} : at.apply(p, n.dx[at.start + j], j) * at.rstd; };
  const auto b = [&](index_t j) {
    T sum = n.dx == nullptr ? T{0} : -slope * u_bar(j);
    if (n.dg != nullptr) sum += n.dg[at.start + j] * n.w[j];
    if (n.dw != nullptr) sum += n.g[at.start + j] * n.dw[j];
    return sum;
  };
  const projection<T> pb = at.project(b);
  T along = 0, turned = 0;
  if (n.dx != nullptr) {
    along = at.average([&](index_t j) { return at.u(j) * u_bar(j); });
    turned = at.average([&](index_t j) { return du(j) * u_bar(j); });
  }
  write_each(lanes, n.cols, dx_bar + at.start, [&](index_t j) {
    return dx_bar[at.start + j] + (at.apply(pb, b(j), j) - du(j) * along - at.u(j) * turned) * at.rstd;
  });
}

/// What row r adds to w_bar[j] (for column sums): g u.
template <class T>
struct norm_weight_share {
  norm_arguments<T> n;

  EXPUNGE_DEVICE T operator()(index_t r, index_t j) const {
    const serial_lanes lanes;
    const norm_row<T, serial_lanes> at(n, lanes, r);
    return n.g[at.start + j] * at.u(j);
  }
};

/// Its tangent: dg u + g du.
template <class T>
struct norm_weight_tangent_share {
  norm_arguments<T> n;
  const projection<T>* projections;

  EXPUNGE_DEVICE T operator()(index_t r, index_t j) const {
    const serial_lanes lanes;
    const norm_row<T, serial_lanes> at(n, lanes, r);
    const index_t i = at.start + j;
    T sum = 0;
    if (n.dg != nullptr) sum += n.dg[i] * at.u(j);
    if (n.dx != nullptr) sum += n.g[i] * at.apply(projections[r], n.dx[i], j) * at.rstd;
    return sum;
  }
};

/// values[r, j], what a row adds to a plain sum over rows; null values are zeros.
template <class T>
struct matrix_share {
  const T* values;
  index_t cols;
  EXPUNGE_DEVICE T operator()(index_t r, index_t j) const { return values != nullptr ? values[r * cols + j] : T{0}; }
};

}  // namespace expunge::cuda
