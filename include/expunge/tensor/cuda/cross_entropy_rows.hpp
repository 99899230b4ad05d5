// The arithmetic of softmax cross-entropy on a device: the threads of a block share a row (see host/cross_entropy.hpp).
#pragma once

#include <cstdint>

#include "expunge/tensor/cuda/lanes.hpp"
#include "expunge/tensor/fn.hpp"

namespace expunge::cuda {

/// One row of logits [cols], its label, its log-sum-exp, and the tangent of the logits (null: zero).
template <class T, class Lanes>
struct cross_entropy_row {
  const Lanes& lanes;
  const T* z;
  index_t label;
  T smoothing;
  index_t cols;
  T lse;
  const T* dz;

  EXPUNGE_DEVICE cross_entropy_row(const Lanes& of, const T* logits, const std::int32_t* labels, T smooth, index_t columns,
                                   const T* log_sums, const T* dlogits, index_t row)
      : lanes(of), z(logits + row * columns), label(labels[row]), smoothing(smooth), cols(columns),
        lse(log_sums != nullptr ? log_sums[row] : T{0}), dz(dlogits != nullptr ? dlogits + row * columns : nullptr) {}

  EXPUNGE_DEVICE T p(index_t j) const { return fn::exp(z[j] - lse); }
  EXPUNGE_DEVICE T beyond(index_t j) const { return dz[j] - dz[label]; }
  /// The probability of all but the label.
  EXPUNGE_DEVICE T others() const {
    return sum_over(lanes, cols, [&](index_t j) { return j == label ? T{0} : p(j); });
  }
  /// p_j - q_j, at the label without cancellation.
  EXPUNGE_DEVICE T gradient(index_t j, T rest) const {
    return (j == label ? smoothing - rest : p(j)) - smoothing / static_cast<T>(cols);
  }
  /// sum_j q_j a_j
  template <class F>
  EXPUNGE_DEVICE T expected(const F& a) const {
    const T likely = (T{1} - smoothing) * a(label);
    return smoothing == T{0} ? likely : likely + smoothing * sum_over(lanes, cols, a) / static_cast<T>(cols);
  }

  EXPUNGE_DEVICE void forward(T* nll, T* log_sum_exp) const {
    T largest = z[0];
    for (index_t j = lanes.index(); j < cols; j += lanes.count()) largest = fn::max(largest, z[j]);
    largest = lanes.max(largest);
    const T log_sum = fn::log(sum_over(lanes, cols, [&](index_t j) { return fn::exp(z[j] - largest); }));
    const T mean = expected([&](index_t j) { return z[j] - largest; });
    if (lanes.index() != 0) return;
    *nll = log_sum - mean;
    *log_sum_exp = largest + log_sum;
  }
  EXPUNGE_DEVICE void pushforward(T* dnll) const {
    if (dz == nullptr) {
      if (lanes.index() == 0) *dnll = T{0};
      return;
    }
    const T mean = sum_over(lanes, cols, [&](index_t j) { return p(j) * beyond(j); });
    const T likely = expected([&](index_t j) { return beyond(j); });
    if (lanes.index() == 0) *dnll = mean - likely;
  }
  EXPUNGE_DEVICE void pullback(T nll_bar, T* bar) const {
    const T rest = others();
    for_each_lane(lanes, cols, [&](index_t j) { bar[j] += nll_bar * gradient(j, rest); });
  }
  EXPUNGE_DEVICE void pullback_tangent(T nll_bar, T dnll_bar, T* dbar) const {
    const T mean = dz != nullptr ? sum_over(lanes, cols, [&](index_t j) { return p(j) * beyond(j); }) : T{0};
    const T rest = others();
    for_each_lane(lanes, cols, [&](index_t j) {
      const T along = dz != nullptr ? nll_bar * p(j) * (beyond(j) - mean) : T{0};
      dbar[j] += along + dnll_bar * gradient(j, rest);
    });
  }
};

}  // namespace expunge::cuda
