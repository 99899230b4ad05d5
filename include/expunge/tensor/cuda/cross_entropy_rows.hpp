// The arithmetic of softmax cross-entropy on a device: the threads of a block share a row (see host/cross_entropy.hpp).
#pragma once

#include <cstdint>
#include <limits>

#include "expunge/tensor/cuda/lanes.hpp"
#include "expunge/tensor/fn.hpp"

namespace expunge::cuda {

/// One row of a range of logits [cols], and its label's place in the range, which may lie outside. Every thread of the block must have
/// read what a statistic was before one of them writes it: the reductions in between see to that.
template <class T, class Lanes>
struct logit_row {
  static constexpr T least = std::numeric_limits<T>::lowest();  // not -inf, which a masked logit may be: -inf - -inf is no number
  static constexpr T nothing = -std::numeric_limits<T>::infinity();  // as a logit; its exponential is 0
  const Lanes& lanes;
  const T* z;
  index_t cols, label;
  bool start;  // the first range: statistics begin

  EXPUNGE_DEVICE logit_row(const Lanes& of, const T* logits, const std::int32_t* labels, index_t first, index_t columns, index_t row)
      : lanes(of), z(logits + row * columns), cols(columns), label(labels[row] - first), start(first == 0) {}

  EXPUNGE_DEVICE bool inside() const { return 0 <= label && label < cols; }
  template <class F>
  EXPUNGE_DEVICE T sum_of_others(const F& f) const {
    return sum_over(lanes, cols, [&](index_t j) {
      const T x = f(j);  // of the label too: a branch would wait for every exponential
      return j == label ? T{0} : x;
    });
  }

  EXPUNGE_DEVICE void statistics(T* largest, T* others, T* of_label, T* total) const {
    T most = least, of_most = 0;  // of this thread; its sum in units of exp(most)
    constexpr int together = 4;   // logits a thread reads at once, for one change of the units
    const index_t step = lanes.count();
    for (index_t begin = lanes.index(); begin < cols; begin += together * step) {
      T x[together], now = most;
      for (int u = 0; u < together; ++u) {
        const index_t j = begin + u * step;
        x[u] = j < cols ? z[j] : nothing;
        now = fn::max(now, x[u]);
      }
      of_most *= fn::exp(most - now);
      most = now;
      for (int u = 0; u < together; ++u) {
        const T term = fn::exp(x[u] - most);  // of the label too: a branch would wait for every exponential
        of_most += begin + u * step == label ? T{0} : term;
      }
    }
    const T before = start ? least : *largest, kept = start ? T{0} : *others;
    const T now = fn::max(before, lanes.max(most));
    const T sum = lanes.sum(of_most * fn::exp(most - now));
    const T all = total != nullptr ? sum_over(lanes, cols, [&](index_t j) { return z[j]; }) : T{0};
    if (lanes.index() != 0) return;
    *largest = now;
    *others = kept * fn::exp(before - now) + sum;
    if (inside()) *of_label = z[label];
    if (total != nullptr) *total = (start ? T{0} : *total) + all;
  }
  EXPUNGE_DEVICE void statistics_tangent(T lse, const T* dz, T* expected, T* dlabel, T* dtotal) const {
    const T sum = sum_of_others([&](index_t j) { return fn::exp(z[j] - lse) * dz[j]; });
    const T all = dtotal != nullptr ? sum_over(lanes, cols, [&](index_t j) { return dz[j]; }) : T{0};
    if (lanes.index() != 0) return;
    *expected = (start ? T{0} : *expected) + sum;
    if (inside()) *dlabel = dz[label];
    if (dtotal != nullptr) *dtotal = (start ? T{0} : *dtotal) + all;
  }
  /// p_j - q_j, at the label without cancellation.
  EXPUNGE_DEVICE T gradient(index_t j, T smoothing, T floor, T lse, T others) const {
    const T p = fn::exp(z[j] - lse);
    return (j == label ? smoothing - others : p) - floor;
  }
  template <class Z>
  EXPUNGE_DEVICE void pullback(T smoothing, T floor, T lse, T others, T nll_bar, Z* bar) const {
    write_each(lanes, cols, bar, [&](index_t j) { return nll_bar * gradient(j, smoothing, floor, lse, others); });
  }
  template <class Z>
  EXPUNGE_DEVICE void pullback_tangent(T smoothing, T floor, T lse, T others, const T* dz, T dlabel, T beyond, T nll_bar, T dnll_bar, Z* dbar) const {
    write_each(lanes, cols, dbar, [&](index_t j) {
      const T along = j == label ? -beyond : dz[j] - (dlabel + beyond);
      return nll_bar * fn::exp(z[j] - lse) * along + dnll_bar * gradient(j, smoothing, floor, lse, others);
    });
  }
};

}  // namespace expunge::cuda
