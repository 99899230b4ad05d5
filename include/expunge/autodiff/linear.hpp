// Linear layer y = x W^T + b, onto another value or not, and the plain matrix product.
#pragma once

#include <cstddef>

#include "expunge/autodiff/apply.hpp"

namespace expunge {

namespace detail {

template <class X, read_by Readers = read_by::anyone>
struct linear_rule {
  static constexpr std::size_t weight_input = 1;
  X x{}, w{};  // x for products alone

  X forward(const X& x_, const X& w_, const X& b, const X& onto) {
    X y = multiplied(x_, w_, b, onto);
    x = x_.operand_alone();
    w = w_;
    return y;
  }
  X pushforward(const X& dx, const X& dw, const X& db, const X& donto) const {
    if (dx.absent() && dw.absent() && db.absent()) return donto;
    X y(shape{x.rows(), w.rows()});
    if (!dx.absent()) linear_into(dx, w, db, donto, y);
    else if (!dw.absent()) linear_into(x, dw, db, donto, y);
    else X::template run<primitive::broadcast_row>(db.data(), y.rows(), y.cols(), y.mutable_data());
    if (!dx.absent() && !dw.absent()) gemm(false, true, 1, x, dw, 1, y);
    if (dx.absent() && dw.absent() && !donto.absent()) axpy(y, 1, donto);
    return y;
  }
  void pullback(const X& y_bar, cotangent_slot<X> x_bar, cotangent_slot<X> w_bar, cotangent_slot<X> b_bar, cotangent_slot<X> onto_bar) const {
    onto_bar.add(y_bar);
    x_bar.add_product(false, false, 1, y_bar, w, x.extents());
    w_bar.add_product(true, false, 1, y_bar, x, w.extents());
    if (b_bar.wanted())
      X::template run<primitive::column_sum>(y_bar.data(), y_bar.rows(), y_bar.cols(), b_bar.destination({w.rows()}));
  }
  void pullback_tangent(const X& dx, const X& dw, const X& /*db*/, const X& /*donto*/, const X& y_bar, const X& dy_bar, cotangent_slot<X> dx_bar,
                        cotangent_slot<X> dw_bar, cotangent_slot<X> db_bar, cotangent_slot<X> donto_bar) const {
    if (!dy_bar.absent()) pullback(dy_bar, dx_bar, dw_bar, db_bar, donto_bar);
    dx_bar.add_product(false, false, 1, y_bar, dw, x.extents());
    dw_bar.add_product(true, false, 1, y_bar, dx, w.extents());
  }
  [[nodiscard]] bool weight_takes_operand() const { return w.rows() > 1 && w.cols() > 1; }  // products with vectors are of the elements
  void restrict(const batch_part& part) { part.restrict(x); }
  bool forget(const X& value) {
    const bool mine = x.data() != nullptr && x.data() == value.data();  // an operand alone is worth keeping
    if (mine) x = {};
    return mine;
  }
  void remember(const X& value) { x = value; }

 private:
  static X multiplied(const X& x_, const X& w_, const X& b, const X& onto) {
    if constexpr (Readers == read_by::products)
      if (b.absent() && onto.absent()) return product_for_products(false, true, 1, x_, w_);
    X y(shape{x_.rows(), w_.rows()});
    linear_into(x_, w_, b, onto, y);
    return y;
  }
};

template <class X>
struct matmul_rule {
  static constexpr std::size_t weight_input = 1;
  X a{}, b{};

  X forward(const X& a_, const X& b_) {
    a = a_;
    b = b_;
    X y(shape{a.rows(), b.cols()});
    gemm(false, false, 1, a, b, 0, y);
    return y;
  }
  X pushforward(const X& da, const X& db) const {
    X y(shape{a.rows(), b.cols()});
    if (!da.absent()) gemm(false, false, 1, da, b, 0, y);
    if (!db.absent()) gemm(false, false, 1, a, db, da.absent() ? 0 : 1, y);
    return y;
  }
  void pullback(const X& y_bar, cotangent_slot<X> a_bar, cotangent_slot<X> b_bar) const {
    a_bar.add_product(false, true, 1, y_bar, b, a.extents());
    b_bar.add_product(true, false, 1, a, y_bar, b.extents());
  }
  void pullback_tangent(const X& da, const X& db, const X& y_bar, const X& dy_bar, cotangent_slot<X> da_bar,
                        cotangent_slot<X> db_bar) const {
    if (!dy_bar.absent()) pullback(dy_bar, da_bar, db_bar);
    da_bar.add_product(false, true, 1, y_bar, db, a.extents());
    db_bar.add_product(true, false, 1, da, y_bar, b.extents());
  }
  void restrict(const batch_part& part) { part.restrict(a); }
};

}  // namespace detail

/// onto + x W^T + bias: x [rows, in], weight [out, in], bias [out] and onto [rows, out] or absent -> [rows, out]. Throws expunge::error where
/// shapes do not fit. With read_by::products, and neither bias nor onto, the output is an operand alone, and its
/// cotangent may be one.
template <read_by Readers = read_by::anyone, differentiable_value V>
V linear(const V& x, const V& weight, const V& bias = {}, const V& onto = {}) {
  return apply(detail::linear_rule<tensor_of<V>, detail::readers_to_first_order_of<V, Readers>>{}, x, weight, bias, onto);
}

/// a [m, k], b [k, n] -> [m, n]
template <differentiable_value V>
V matmul(const V& a, const V& b) {
  return apply(detail::matmul_rule<tensor_of<V>>{}, a, b);
}

}  // namespace expunge
