// Softmax cross-entropy with label smoothing, row by row.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <Eigen/Core>

#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/host/rows.hpp"

// logits [rows, cols]; labels [rows] in [0, cols), not checked; nll, lse [rows]. The target of a row is
// q = (1 - smoothing) onehot(label) + smoothing / cols (Szegedy et al. 2016). lse, the log-sum-exp of each row, is kept from the
// value for the derivatives. A null tangent (prefix d) is zero; cotangent outputs (suffix _bar) are added to.
namespace expunge::host {

namespace detail {

/// sum_j q_j row_j
template <class T, class Row>
T expected_under_target(const Row& row, std::int32_t label, T smoothing) {
  const T likely = (T{1} - smoothing) * row.coeff(label);
  return smoothing == T{0} ? likely : likely + smoothing * row.mean();
}

/// out += factor * (softmax(z) - q). At the label this is -sum of the other probabilities (+ smoothing): p - 1 would cancel, and
/// keep few digits where the model is sure of its answer, as it is where unlearning begins.
template <class T>
void add_logit_gradient(const const_array_map<T>& z, T lse, std::int32_t label, T smoothing, T factor, array_map<T> out) {
  constexpr index_t chunk = 512;
  const T floor = smoothing / static_cast<T>(z.size());
  T others{0};
  const auto add = [&](index_t begin, index_t end) {
    for (; begin < end; begin += chunk) {
      const index_t size = std::min(chunk, end - begin);
      const Eigen::Array<T, Eigen::Dynamic, 1, Eigen::ColMajor, chunk, 1> p = (z.segment(begin, size) - lse).exp();
      others += p.sum();
      out.segment(begin, size) += factor * (p - floor);
    }
  };
  add(0, label);
  add(label + 1, z.size());
  out[label] += factor * (smoothing - floor - others);
}

}  // namespace detail

/// nll = lse - sum_j q_j logits_j.
template <class T>
void cross_entropy(const T* logits, const std::int32_t* labels, T smoothing, index_t rows, index_t cols, T* nll, T* lse) {
  parallel_blocks(rows, detail::rows_per_block(cols), [&](index_t begin, index_t end) {
    for (index_t r = begin; r < end; ++r) {
      const detail::const_array_map<T> z(logits + r * cols, cols);
      const T largest = z.maxCoeff();
      const T log_sum = std::log((z - largest).exp().sum());
      nll[r] = log_sum - detail::expected_under_target(z - largest, labels[r], smoothing);
      lse[r] = largest + log_sum;
    }
  });
}

/// dnll, overwritten, along dlogits.
template <class T>
void cross_entropy_pushforward(const T* logits, const std::int32_t* labels, T smoothing, const T* lse, const T* dlogits,
                               index_t rows, index_t cols, T* dnll) {
  parallel_blocks(rows, detail::rows_per_block(cols), [&](index_t begin, index_t end) {
    for (index_t r = begin; r < end; ++r) {
      if (dlogits == nullptr) {
        dnll[r] = T{0};
        continue;
      }
      const detail::const_array_map<T> z(logits + r * cols, cols);
      const detail::const_array_map<T> dz(dlogits + r * cols, cols);
      const auto beyond = dz - dz[labels[r]];  // a shift of all logits changes nothing; this one leaves no difference of large numbers
      dnll[r] = ((z - lse[r]).exp() * beyond).sum() - detail::expected_under_target(beyond, labels[r], smoothing);
    }
  });
}

template <class T>
void cross_entropy_pullback(const T* logits, const std::int32_t* labels, T smoothing, const T* lse, const T* nll_bar,
                            index_t rows, index_t cols, T* logits_bar) {
  if (logits_bar == nullptr) return;
  parallel_blocks(rows, detail::rows_per_block(cols), [&](index_t begin, index_t end) {
    for (index_t r = begin; r < end; ++r) {
      const detail::const_array_map<T> z(logits + r * cols, cols);
      detail::add_logit_gradient(z, lse[r], labels[r], smoothing, nll_bar[r], detail::array_map<T>(logits_bar + r * cols, cols));
    }
  });
}

/// Derivative of the pullback's logits_bar along (dlogits, dnll_bar).
template <class T>
void cross_entropy_pullback_tangent(const T* logits, const std::int32_t* labels, T smoothing, const T* lse, const T* dlogits,
                                    const T* nll_bar, const T* dnll_bar, index_t rows, index_t cols, T* dlogits_bar) {
  if (dlogits_bar == nullptr) return;
  parallel_blocks(rows, detail::rows_per_block(cols), [&](index_t begin, index_t end) {
    for (index_t r = begin; r < end; ++r) {
      const detail::const_array_map<T> z(logits + r * cols, cols);
      const auto p = (z - lse[r]).exp();
      detail::array_map<T> out(dlogits_bar + r * cols, cols);
      if (dlogits != nullptr) {
        const detail::const_array_map<T> dz(dlogits + r * cols, cols);
        const auto beyond = dz - dz[labels[r]];
        out += nll_bar[r] * p * (beyond - (p * beyond).sum());
      }
      if (dnll_bar != nullptr) detail::add_logit_gradient(z, lse[r], labels[r], smoothing, dnll_bar[r], out);
    }
  });
}

}  // namespace expunge::host
