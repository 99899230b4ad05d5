// Softmax cross-entropy with label smoothing, over a range of the vocabulary at a time, so that no caller need hold all logits.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/host/rows.hpp"

// Logits z [rows, cols] are those of the vocabulary from `first` on; labels [rows] in [0, vocabulary), not checked, may lie outside. The
// target of a row is q = (1 - smoothing) onehot(label) + smoothing / vocabulary (Szegedy et al. 2016); `floor` is smoothing / vocabulary.
// Statistics, [rows] each, gather over the ranges: the range with first = 0 comes first and starts them. Where a row's label is sure,
// p - 1 would cancel, and with it the gradient where unlearning begins: everything is built on `others`, the probability of all but
// the label. What is computed from the statistics between the passes stands in autodiff/functor.hpp.
namespace expunge::host {

namespace detail {

constexpr index_t longest_piece = 512;  // long sums are sums of these, which rounds less

/// Calls f(begin, size) for pieces of [0, cols) that leave out `label`.
template <class F>
void for_others(index_t cols, index_t label, const F& f) {
  const auto run = [&](index_t begin, index_t end) {
    for (; begin < end; begin += longest_piece) f(begin, std::min(longest_piece, end - begin));
  };
  if (label < 0 || label >= cols) return run(0, cols);
  run(0, label);
  run(label + 1, cols);
}

/// Calls f(row, z, label - first) for every row.
template <class T, class F>
void for_logit_rows(const T* z, const std::int32_t* labels, index_t first, index_t rows, index_t cols, const F& f) {
  parallel_blocks(rows, rows_per_block(cols), [&](index_t begin, index_t end) {
    for (index_t r = begin; r < end; ++r) f(r, z + r * cols, static_cast<index_t>(labels[r]) - first);
  });
}

}  // namespace detail

/// largest z; others = sum of exp(z - largest) over all but the label; of_label = z at the label; total = sum of z (null: not wanted).
template <class T>
void softmax_statistics(const T* z, const std::int32_t* labels, index_t first, index_t rows, index_t cols, T* largest, T* others, T* of_label,
                        T* total) {
  detail::for_logit_rows(z, labels, first, rows, cols, [&](index_t r, const T* row, index_t label) {
    const bool start = first == 0;
    const T before = start ? std::numeric_limits<T>::lowest() : largest[r], now = std::max(before, detail::largest_of(cols, row));
    T sum = start ? T{0} : others[r] * std::exp(before - now);
    detail::for_others(cols, label, [&](index_t begin, index_t size) {
      sum += detail::sum_batches(size, [=](const auto& x) { return xsimd::exp(x - now); }, row + begin);
    });
    largest[r] = now;
    others[r] = sum;
    if (0 <= label && label < cols) of_label[r] = row[label];
    if (total != nullptr) total[r] = (start ? T{0} : total[r]) + detail::sum_of(cols, row);
  });
}

/// expected = sum of p dz over all but the label, dlabel = dz at the label, dtotal = sum of dz (null: not wanted); p = exp(z - lse).
template <class T>
void softmax_statistics_tangent(const T* z, const std::int32_t* labels, index_t first, const T* lse, const T* dz, index_t rows, index_t cols,
                                T* expected, T* dlabel, T* dtotal) {
  detail::for_logit_rows(z, labels, first, rows, cols, [&](index_t r, const T* row, index_t label) {
    const T* const along = dz + r * cols;
    T sum = first == 0 ? T{0} : expected[r];
    detail::for_others(cols, label, [&](index_t begin, index_t size) {
      const auto weighted = [shift = lse[r]](const auto& x, const auto& dx) { return xsimd::exp(x - shift) * dx; };
      sum += detail::sum_batches(size, weighted, row + begin, along + begin);
    });
    expected[r] = sum;
    if (0 <= label && label < cols) dlabel[r] = along[label];
    if (dtotal != nullptr) dtotal[r] = (first == 0 ? T{0} : dtotal[r]) + detail::sum_of(cols, along);
  });
}

/// z_bar = nll_bar (p - q), overwritten.
template <class T>
void cross_entropy_pullback(const T* z, const std::int32_t* labels, index_t first, T smoothing, T floor, const T* lse, const T* others,
                            const T* nll_bar, index_t rows, index_t cols, T* z_bar) {
  detail::for_logit_rows(z, labels, first, rows, cols, [&](index_t r, const T* row, index_t label) {
    T* const out = z_bar + r * cols;
    detail::for_others(cols, label, [&](index_t begin, index_t size) {
      detail::for_batches(size, [g = nll_bar[r], shift = lse[r], floor](const auto& x, auto& to) { to = g * (xsimd::exp(x - shift) - floor); },
                          row + begin, out + begin);
    });
    if (0 <= label && label < cols) out[label] = nll_bar[r] * (smoothing - floor - others[r]);
  });
}

/// The derivative of z_bar along dz and dnll_bar (null: zero), overwritten; `beyond` is the mean of dz - dlabel under p.
template <class T>
void cross_entropy_pullback_tangent(const T* z, const std::int32_t* labels, index_t first, T smoothing, T floor, const T* lse, const T* others,
                                    const T* dz, const T* dlabel, const T* beyond, const T* nll_bar, const T* dnll_bar, index_t rows,
                                    index_t cols, T* dz_bar) {
  detail::for_logit_rows(z, labels, first, rows, cols, [&](index_t r, const T* row, index_t label) {
    const T* const along = dz + r * cols;
    T* const out = dz_bar + r * cols;
    const T g = nll_bar[r], dg = dnll_bar != nullptr ? dnll_bar[r] : T{0}, shift = dlabel[r] + beyond[r];
    detail::for_others(cols, label, [&](index_t begin, index_t size) {
      const auto tangent = [=, log_sum = lse[r]](const auto& x, const auto& dx, auto& to) {
        const auto p = xsimd::exp(x - log_sum);
        to = p * (g * (dx - shift)) + dg * (p - floor);
      };
      detail::for_batches(size, tangent, row + begin, along + begin, out + begin);
    });
    if (0 <= label && label < cols) out[label] = dg * (smoothing - floor - others[r]) - g * std::exp(row[label] - lse[r]) * beyond[r];
  });
}

}  // namespace expunge::host
