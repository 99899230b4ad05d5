// The vocabulary's linear layer and softmax cross-entropy in one operation, which need not hold all logits of a long batch.
#pragma once

#include <algorithm>
#include <vector>

#include "expunge/autodiff/cross_entropy.hpp"

namespace expunge {

namespace detail {

/// Logits are computed for a range of the vocabulary at a time, so many that [rows, range] stay in a cache, and again when a derivative
/// needs them.
inline constexpr index_t vocabulary_range = 4096;
/// On a device, which has little use for small pieces of work, for up to so many logits.
inline constexpr index_t device_logits = index_t{1} << 26;
/// Where they are few beside the weight, reading the weight again would cost more than keeping them; the range is then the whole vocabulary.
constexpr bool few_logits(index_t rows, index_t width) { return 4 * rows <= width; }
/// And on a device more of them are kept, in ranges: its memory has room for so many values.
inline constexpr index_t most_kept_logits = index_t{1} << 30;
constexpr bool keeps_logits(index_t rows, index_t width, index_t vocabulary, bool on_device) {
  return few_logits(rows, width) || (on_device && rows * vocabulary <= most_kept_logits);
}
constexpr index_t range_of_logits(index_t rows, index_t width, index_t vocabulary, bool on_device) {
  const index_t range = few_logits(rows, width) ? vocabulary : on_device ? device_logits / rows / vocabulary_range * vocabulary_range : 0;
  return std::min(vocabulary, std::max(range, vocabulary_range));
}

template <class X>
struct linear_cross_entropy_rule {
  softmax_rows<X> row{};
  index_t range = 0;  // 0: as range_of_logits() says
  X x{}, w{};
  std::vector<X> kept{};  // the logits of every range, or none

  X forward(const X& x_, const X& w_) {
    require(w_.extents().rank() == 2 && x_.cols() == w_.cols(), "linear_cross_entropy: input ", x_.extents(), " for weight ", w_.extents());
    require(x_.rows() == row.labels.size(), "linear_cross_entropy: input ", x_.extents(), " for ", row.labels.size(), " labels");
    x = x_;
    w = w_;
    constexpr bool on_device = device_storage<typename X::storage_type>;
    if (range == 0) range = range_of_logits(x.rows(), w.cols(), w.rows(), on_device);
    const bool keep = keeps_logits(x.rows(), w.cols(), w.rows(), on_device);
    row.begin(w.rows());
    for_ranges([&](index_t first, const X& /*part*/, const X& z) {
      row.scan(z, first);
      if (keep) kept.push_back(z);
    });
    return row.value();
  }
  X pushforward(const X& dx, const X& dw) {
    row.begin_tangent();
    for_ranges([&](index_t first, const X& part, const X& z) { row.scan_tangent(z, tangent(dx, dw, first, part), first); });
    return row.tangent();
  }
  void pullback(const X& nll_bar, cotangent_slot<X> x_bar, cotangent_slot<X> w_bar) const {
    if (!x_bar.wanted() && !w_bar.wanted()) return;
    for_ranges([&](index_t first, const X& part, const X& z) {
      X bar = X::for_products(z.extents());
      row.pullback(z, first, nll_bar, bar.operand_to_write());
      x_bar.add_product(false, false, 1, bar, part, x.extents());
      w_bar.add_product_to_rows(first, true, false, 1, bar, x, w.extents());
    });
  }
  void pullback_tangent(const X& dx, const X& dw, const X& nll_bar, const X& dnll_bar, cotangent_slot<X> dx_bar, cotangent_slot<X> dw_bar) const {
    if (!dx_bar.wanted() && !dw_bar.wanted()) return;
    // The weight's cotangent has the terms d(bar)^T x and bar^T dx: one product of rows laid one below the other.
    const index_t n = x.rows();
    X both_x = dx.absent() ? x : X(shape{2 * n, x.cols()});
    if (!dx.absent()) put(both_x, 0, x), put(both_x, n, dx);
    for_ranges([&](index_t first, const X& part, const X& z) {
      X both = X::for_products(shape{dx.absent() ? n : 2 * n, z.cols()}), dbar = both.slice(0, n);
      row.pullback_tangent(z, tangent(dx, dw, first, part), first, nll_bar, dnll_bar, dbar.operand_to_write());
      X bar = dx.absent() ? X::for_products(z.extents()) : both.slice(n, 2 * n);
      if (!dx.absent() || !dw.absent()) row.pullback(z, first, nll_bar, bar.operand_to_write());
      dx_bar.add_product(false, false, 1, dbar, part, x.extents());
      if (!dw.absent()) dx_bar.add_product(false, false, 1, bar, dw.slice(first, first + part.rows()), x.extents());
      dw_bar.add_product_to_rows(first, true, false, 1, both, both_x, w.extents());
    });
  }
  void restrict(const batch_part& part) {
    row.restrict(part), part.restrict(x);
    for (X& z : kept) part.restrict(z);
  }

 private:
  /// Calls f(first, rows of w from `first` on, logits [rows of x, rows of that]).
  template <class F>
  void for_ranges(const F& f) const {
    const bool again = kept.empty();  // f may keep them
    for (index_t first = 0; first < w.rows(); first += range) {
      const X part = w.slice(first, std::min(w.rows(), first + range));
      f(first, part, again ? times_transposed(x, part) : kept[static_cast<std::size_t>(first / range)]);
    }
  }
  X tangent(const X& dx, const X& dw, index_t first, const X& part) const {
    const X dpart = dw.absent() ? X{} : dw.slice(first, first + part.rows());
    X dz = dx.absent() ? X(shape{x.rows(), part.rows()}) : times_transposed(dx, part);
    if (!dw.absent()) gemm(false, true, 1, x, dpart, dx.absent() ? 0 : 1, dz);
    return dz;
  }
  static X times_transposed(const X& a, const X& b) {
    X out(shape{a.rows(), b.rows()});
    gemm(false, true, 1, a, b, 0, out);
    return out;
  }
  static void put(X& into, index_t begin, const X& rows) {
    X to = into.slice(begin, begin + rows.rows());
    copy_into(to, rows);
  }
};

}  // namespace detail

/// cross_entropy(linear(x, weight), labels, smoothing) without all logits in memory: x [rows, width], weight [vocabulary, width], labels
/// [rows] in [0, vocabulary), not checked -> [rows].
template <differentiable_value V>
V linear_cross_entropy(const V& x, const V& weight, const typename tensor_of<V>::index_tensor& labels,
                       typename tensor_of<V>::value_type smoothing = 0) {
  return apply(detail::linear_cross_entropy_rule<tensor_of<V>>{{labels, smoothing}}, x, weight);
}

}  // namespace expunge
