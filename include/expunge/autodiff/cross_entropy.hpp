// Softmax cross-entropy with label smoothing, of given logits.
#pragma once

#include <utility>

#include "expunge/autodiff/apply.hpp"
#include "expunge/autodiff/functor.hpp"

namespace expunge {

namespace detail {

/// What cross-entropy keeps of each row of logits, gathered over ranges of the vocabulary (host/cross_entropy.hpp says how).
/// Each tensor is [rows].
template <class X>
struct softmax_rows {
  using T = typename X::value_type;
  typename X::index_tensor labels{};
  T smoothing = 0;
  index_t vocabulary = 0;
  X lse{}, others{}, label{}, total{};    // lse and others are the largest logit and a sum until value()
  X dlabel{}, beyond{}, dtotal{};         // of the tangent

  void begin(index_t cols) {
    vocabulary = cols;
    for (X* v : {&lse, &others, &label}) *v = X(shape{labels.size()});
    if (smoothing != 0) total = X(shape{labels.size()});
  }
  void scan(const X& z, index_t first) {
    X::template run<primitive::softmax_statistics>(z.data(), labels.data(), first, z.rows(), z.cols(), lse.mutable_data(),
                                                   others.mutable_data(), label.mutable_data(), total.mutable_data());
  }
  /// The negative log-likelihoods.
  X value() {
    X nll(label.extents());
    const X& sum = total.absent() ? label : total;
    map_in_place(functor::cross_entropy_value<T>{smoothing, static_cast<T>(vocabulary)}, nll, lse, others, std::as_const(label), sum);
    return nll;
  }

  void begin_tangent() {
    for (X* v : {&dlabel, &beyond}) *v = X(label.extents());
    if (smoothing != 0) dtotal = X(label.extents());
  }
  void scan_tangent(const X& z, const X& dz, index_t first) {
    X::template run<primitive::softmax_statistics_tangent>(z.data(), labels.data(), first, lse.data(), dz.data(), z.rows(), z.cols(),
                                                           beyond.mutable_data(), dlabel.mutable_data(), dtotal.mutable_data());
  }
  X tangent() {
    X dnll(label.extents());
    const X& sum = dtotal.absent() ? dlabel : dtotal;
    map_in_place(functor::cross_entropy_tangent<T>{smoothing, static_cast<T>(vocabulary)}, dnll, beyond, std::as_const(others), std::as_const(dlabel), sum);
    return dnll;
  }

  /// Overwrites z_bar (a pointer; to z itself will do).
  void pullback(const X& z, index_t first, const X& nll_bar, auto z_bar) const {
    X::template run<primitive::cross_entropy_pullback>(z.data(), labels.data(), first, smoothing, floor(), lse.data(), others.data(),
                                                       nll_bar.data(), z.rows(), z.cols(), z_bar);
  }
  /// The derivative of the same along dz and dnll_bar (may be absent), after tangent().
  void pullback_tangent(const X& z, const X& dz, index_t first, const X& nll_bar, const X& dnll_bar, auto dz_bar) const {
    X::template run<primitive::cross_entropy_pullback_tangent>(z.data(), labels.data(), first, smoothing, floor(), lse.data(), others.data(),
                                                               dz.data(), dlabel.data(), beyond.data(), nll_bar.data(), dnll_bar.data(),
                                                               z.rows(), z.cols(), dz_bar);
  }
  void restrict(const batch_part& part) {
    part.restrict(labels);
    for (X* v : {&lse, &others, &label, &total, &dlabel, &beyond, &dtotal}) part.restrict(*v);
  }

 private:
  [[nodiscard]] T floor() const { return smoothing / static_cast<T>(vocabulary); }
};

template <class X>
struct cross_entropy_rule {
  softmax_rows<X> row{};
  X logits{};

  X forward(const X& logits_) {
    require(logits_.rows() == row.labels.size(), "cross_entropy: logits ", logits_.extents(), " for ", row.labels.size(), " labels");
    logits = logits_;
    row.begin(logits.cols());
    row.scan(logits, 0);
    return row.value();
  }
  X pushforward(const X& dlogits) {
    row.begin_tangent();
    row.scan_tangent(logits, dlogits, 0);
    return row.tangent();
  }
  void pullback(const X& nll_bar, cotangent_slot<X> logits_bar) const {
    if (!logits_bar.wanted()) return;
    X bar(logits.extents());
    row.pullback(logits, 0, nll_bar, bar.mutable_data());
    logits_bar.add(bar);
  }
  void pullback_tangent(const X& dlogits, const X& nll_bar, const X& dnll_bar, cotangent_slot<X> dlogits_bar) const {
    if (!dlogits_bar.wanted()) return;
    X bar(logits.extents());
    row.pullback_tangent(logits, dlogits, 0, nll_bar, dnll_bar, bar.mutable_data());
    dlogits_bar.add(bar);
  }
  void restrict(const batch_part& part) { row.restrict(part), part.restrict(logits); }
};

}  // namespace detail

/// Negative log-likelihood of labels[r] under softmax(logits[r, :]), one value a row, [rows]. With smoothing s the target is
/// (1 - s) onehot + s / cols (Szegedy et al. 2016). Labels in [0, cols) are not checked here.
template <differentiable_value V>
V cross_entropy(const V& logits, const typename tensor_of<V>::index_tensor& labels,
                typename tensor_of<V>::value_type smoothing = 0) {
  return apply(detail::cross_entropy_rule<tensor_of<V>>{{labels, smoothing}, {}}, logits);
}

}  // namespace expunge
