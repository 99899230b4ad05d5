// Softmax cross-entropy with label smoothing.
#pragma once

#include "expunge/autodiff/apply.hpp"

namespace expunge {

namespace detail {

template <class X>
struct cross_entropy_rule {
  using T = typename X::value_type;
  typename X::index_tensor labels{};
  T smoothing = 0;
  X logits{}, lse{};

  X forward(const X& logits_) {
    require(logits_.rows() == labels.size(), "cross_entropy: logits ", logits_.extents(), " for ", labels.size(), " labels");
    logits = logits_;
    X nll(shape{logits.rows()});
    lse = X(shape{logits.rows()});
    X::template run<primitive::cross_entropy>(logits.data(), labels.data(), smoothing, logits.rows(), logits.cols(),
                                              nll.mutable_data(), lse.mutable_data());
    return nll;
  }
  X pushforward(const X& dlogits) const {
    X tangent(shape{logits.rows()});
    X::template run<primitive::cross_entropy_pushforward>(logits.data(), labels.data(), smoothing, lse.data(), dlogits.data(),
                                                          logits.rows(), logits.cols(), tangent.mutable_data());
    return tangent;
  }
  void pullback(const X& nll_bar, cotangent_slot<X> logits_bar) const {
    if (logits_bar.wanted())
      X::template run<primitive::cross_entropy_pullback>(logits.data(), labels.data(), smoothing, lse.data(), nll_bar.data(),
                                                         logits.rows(), logits.cols(), logits_bar.accumulator(logits.extents()));
  }
  void pullback_tangent(const X& dlogits, const X& nll_bar, const X& dnll_bar, cotangent_slot<X> dlogits_bar) const {
    if (dlogits_bar.wanted())
      X::template run<primitive::cross_entropy_pullback_tangent>(
          logits.data(), labels.data(), smoothing, lse.data(), dlogits.data(), nll_bar.data(), dnll_bar.data(), logits.rows(),
          logits.cols(), dlogits_bar.accumulator(logits.extents()));
  }
  void restrict(const batch_part& part) { part.restrict(labels), part.restrict(logits), part.restrict(lse); }
};

}  // namespace detail

/// Negative log-likelihood of labels[r] under softmax(logits[r, :]), one value a row, [rows]. With smoothing s the target is
/// (1 - s) onehot + s / cols (Szegedy et al. 2016). Labels in [0, cols) are not checked here.
template <differentiable_value V>
V cross_entropy(const V& logits, const typename tensor_of<V>::index_tensor& labels,
                typename tensor_of<V>::value_type smoothing = 0) {
  return apply(detail::cross_entropy_rule<tensor_of<V>>{labels, smoothing}, logits);
}

}  // namespace expunge
