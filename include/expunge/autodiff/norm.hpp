// RMSNorm and LayerNorm over the last axis.
#pragma once

#include "expunge/autodiff/apply.hpp"

namespace expunge {

namespace detail {

/// `Centred` is LayerNorm; RMSNorm has neither average nor b.
template <class X, bool Centred, read_by Readers = read_by::anyone>
struct norm_rule {
  typename X::value_type epsilon = 0;
  X x{}, w{}, b{}, average{}, rstd{};

  X forward(const X& x_, const X& w_, const X& b_) {
    if constexpr (Centred)
      require(w_.size() == x_.cols() && b_.size() == x_.cols(), "layer_norm: weight ", w_.extents(), " and bias ", b_.extents(),
              " for input ", x_.extents());
    else require(w_.size() == x_.cols(), "rms_norm: weight ", w_.extents(), " for input ", x_.extents());
    x = x_;
    w = w_;
    b = b_;
    rstd = X(shape{x.rows()});
    if constexpr (Centred) average = X(shape{x.rows()});
    return written<X, Readers>(x.extents(), [&](auto y) {
      if constexpr (Centred)
        X::template run<primitive::layer_norm>(x.data(), w.data(), b.data(), epsilon, x.rows(), x.cols(), y, average.mutable_data(),
                                               rstd.mutable_data());
      else X::template run<primitive::rms_norm>(x.data(), w.data(), epsilon, x.rows(), x.cols(), y, rstd.mutable_data());
    });
  }
  X pushforward(const X& dx, const X& dw, const X& db) const {
    return written<X, Readers>(x.extents(), [&](auto dy) {
      X::template run<primitive::norm_pushforward>(x.data(), w.data(), average.data(), rstd.data(), dx.data(), dw.data(), db.data(), x.rows(),
                                                   x.cols(), dy);
    });
  }
  void pullback(const X& y_bar, cotangent_slot<X> x_bar, cotangent_slot<X> w_bar, cotangent_slot<X> b_bar) const {
    const auto to_x = x_bar.accumulator(x.extents());
    const auto to_w = w_bar.destination(w.extents()), to_b = b_bar.destination(w.extents());
    X::template run<primitive::norm_pullback>(x.data(), w.data(), average.data(), rstd.data(), y_bar.data(), x.rows(), x.cols(), to_x, to_w, to_b);
  }
  void pullback_tangent(const X& dx, const X& dw, const X& /*db*/, const X& y_bar, const X& dy_bar, cotangent_slot<X> dx_bar,
                        cotangent_slot<X> dw_bar, cotangent_slot<X> db_bar) const {
    const auto to_x = dx_bar.accumulator(x.extents());
    const auto to_w = dw_bar.destination(w.extents()), to_b = db_bar.destination(w.extents());
    X::template run<primitive::norm_pullback_tangent>(x.data(), w.data(), average.data(), rstd.data(), dx.data(), dw.data(), y_bar.data(),
                                                      dy_bar.data(), x.rows(), x.cols(), to_x, to_w, to_b);
  }
  void restrict(const batch_part& part) { part.restrict(x), part.restrict(average), part.restrict(rstd); }
  X again() { return forward(x, w, b); }
};

}  // namespace detail

/// x / sqrt(mean(x^2) + epsilon) * weight over the last axis (Zhang and Sennrich 2019). x [rows, cols], weight [cols].
template <read_by Readers = read_by::anyone, differentiable_value V>
V rms_norm(const V& x, const V& weight, typename tensor_of<V>::value_type epsilon) {
  return apply(detail::norm_rule<tensor_of<V>, false, detail::readers_of<V, Readers>>{epsilon}, x, weight, V{});
}

/// (x - mean) / sqrt(variance + epsilon) * weight + bias over the last axis (Ba et al. 2016).
template <read_by Readers = read_by::anyone, differentiable_value V>
V layer_norm(const V& x, const V& weight, const V& bias, typename tensor_of<V>::value_type epsilon) {
  return apply(detail::norm_rule<tensor_of<V>, true, detail::readers_of<V, Readers>>{epsilon}, x, weight, bias);
}

}  // namespace expunge
