// Operations that move or add rows: embedding lookup (gather), sums over segments of rows, the sum of all elements.
#pragma once

#include "expunge/autodiff/elementwise.hpp"

namespace expunge {

namespace detail {

template <class X>
struct gather_rule {
  static constexpr bool linear = true, indexes_batch = true;
  typename X::index_tensor rows{};
  shape table{};

  X forward(const X& x) {
    require(x.extents().rank() == 2, "gather: the table has shape ", x.extents(), ", expected rank 2");
    table = x.extents();
    X y(shape{rows.size(), x.cols()});
    X::template run<primitive::gather_rows>(x.data(), rows.data(), rows.size(), x.cols(), y.mutable_data());
    return y;
  }
  X pushforward(const X& dx) const { return gather_rule(*this).forward(dx); }
  void pullback(const X& y_bar, cotangent_slot<X> x_bar) const {
    if (x_bar.wanted())
      X::template run<primitive::scatter_add_rows>(y_bar.data(), rows.data(), rows.size(), table.cols(), x_bar.accumulator(table));
  }
  /// A table of parameters stays whole; one of the batch's rows is cut down like the rest.
  void restrict(const batch_part& part, bool of_parameters) {
    part.restrict(rows);
    if (!of_parameters) {
      require(part.leading(), "gather: rows of the batch can be cut down to the first examples only");
      part.restrict(table);
    }
  }
};

template <class X>
struct segment_sum_rule {
  static constexpr bool linear = true;
  typename X::index_tensor offsets{};
  shape input{};

  [[nodiscard]] index_t segments() const { return offsets.size() - 1; }
  [[nodiscard]] index_t columns() const { return input.rank() == 1 ? 1 : input.cols(); }

  X forward(const X& x) {
    input = x.extents();
    require(input.rank() == 1 || input.rank() == 2, "segment_sum: the input has shape ", input, ", expected [rows] or [rows, cols]");
    X y = zeros<X>(input.with_first(segments()));
    X::template run<primitive::segment_sum>(x.data(), offsets.data(), segments(), columns(), y.mutable_data());
    return y;
  }
  X pushforward(const X& dx) const { return segment_sum_rule(*this).forward(dx); }
  void pullback(const X& y_bar, cotangent_slot<X> x_bar) const {
    if (x_bar.wanted())
      X::template run<primitive::segment_broadcast>(y_bar.data(), offsets.data(), segments(), columns(), x_bar.accumulator(input));
  }
  void restrict(const batch_part& part) { part.restrict(input), part.restrict_offsets(offsets); }
};

template <class X>
struct sum_rule {
  static constexpr bool linear = true;
  shape input{};

  static X ones(index_t count) {
    X made(shape{1, count});
    fill(made, 1);
    return made;
  }
  X forward(const X& x) {
    input = x.extents();
    X y(shape{1, 1});
    gemm(false, true, 1, x.reshaped({1, x.size()}), ones(x.size()), 0, y);
    return y;
  }
  X pushforward(const X& dx) const { return sum_rule(*this).forward(dx); }
  void pullback(const X& y_bar, cotangent_slot<X> x_bar) const {
    if (!x_bar.wanted()) return;
    X spread(shape{1, input.size()});
    gemm(false, false, 1, y_bar, ones(input.size()), 0, spread);
    x_bar.add(spread.reshaped(input));
  }
};

}  // namespace detail

/// table [n, cols], row numbers in [0, n) -> [rows.size(), cols]: embedding lookup. Row numbers are not checked here.
template <differentiable_value V>
V gather(const V& table, const typename tensor_of<V>::index_tensor& rows) {
  return apply(detail::gather_rule<tensor_of<V>>{rows}, table);
}

/// x [rows] or [rows, cols]; offsets [segments + 1] ascending, the last at most `rows` (not checked here) -> [segments] or [segments, cols].
template <differentiable_value V>
V segment_sum(const V& x, const typename tensor_of<V>::index_tensor& offsets) {
  return apply(detail::segment_sum_rule<tensor_of<V>>{offsets}, x);
}

/// The sum of all elements, shape [1, 1].
template <differentiable_value V>
V sum(const V& x) {
  return apply(detail::sum_rule<tensor_of<V>>{}, x);
}

template <differentiable_value V>
V mean(const V& x) {
  return sum(x) / static_cast<double>(primal_of(x).size());
}

}  // namespace expunge
