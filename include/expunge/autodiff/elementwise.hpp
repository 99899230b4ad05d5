// Element-wise operations: activations and other functions of one variable, sums, products, and gated activations.
#pragma once

#include "expunge/autodiff/apply.hpp"
#include "expunge/autodiff/functor.hpp"

namespace expunge {

namespace detail {

template <class X>
X or_zeros(const X& x, const X& like) {
  return x.absent() ? zeros<X>(like.extents()) : x;
}

template <class F, class X, read_by Readers = read_by::anyone>
struct unary_rule {
  X x{};

  X forward(const X& x_) {
    x = x_;
    return mapped<Readers>(functor::value<F>{}, x);
  }
  X pushforward(const X& dx) const {
    return mapped<Readers>(functor::slope_product<F>{}, x, dx);
  }
  void pullback(const X& y_bar, cotangent_slot<X> x_bar) const {
    x_bar.add_mapped(functor::slope_product<F>{}, x, y_bar);
  }
  void pullback_tangent(const X& dx, const X& y_bar, const X& dy_bar, cotangent_slot<X> dx_bar) const {
    if (dx_bar.wanted()) dx_bar.add_mapped(functor::slope_product_tangent<F>{}, x, dx, y_bar, or_zeros(dy_bar, x));
  }
  void restrict(const batch_part& part) { part.restrict(x); }
  X again() { return forward(x); }
};

/// y = F(a) * b: the gated activation of a transformer's feed-forward layer.
template <class F, class X, read_by Readers = read_by::anyone>
struct gated_rule {
  static constexpr bool elementwise = true;
  static constexpr int operand_cotangents = Readers == read_by::products ? 1 : 0;
  X a{}, b{};

  X forward(const X& a_, const X& b_) {
    require(a_.extents() == b_.extents(), "element-wise product or gated activation of shapes ", a_.extents(), " and ", b_.extents());
    a = a_;
    b = b_;
    if constexpr (Readers == read_by::products)
      if (of_operands())
        return written<X, Readers>(a.extents(), [&](auto y) {
          X::template run<primitive::map>(a.size(), functor::assign{functor::value_product<F>{}}, y, a.kept_operand(), b.kept_operand());
        });
    return mapped<Readers>(functor::value_product<F>{}, with_elements(a), with_elements(b));
  }
  X pushforward(const X& da, const X& db) const {
    return mapped<Readers>(functor::gated_pushforward<F>{}, a, b, or_zeros(da, a), or_zeros(db, b));
  }
  void pullback(const X& y_bar, cotangent_slot<X> a_bar, cotangent_slot<X> b_bar) const {
    constexpr functor::gated_pullback_of_both<F> of_both{};
    if constexpr (Readers == read_by::products)
      if (of_operands() && y_bar.is_operand_alone() && add_pair_to_operands(a_bar, b_bar, of_both, a, b, y_bar)) return;
    const X left = with_elements(a), right = with_elements(b), bar = with_elements(y_bar);
    if (add_mapped_pair<Readers>(a_bar, b_bar, of_both, left, right, bar)) return;
    a_bar.add_mapped(functor::gated_pullback<F>{}, left, right, bar);
    b_bar.add_mapped(functor::value_product<F>{}, left, bar);
  }
  void pullback_tangent(const X& da_, const X& db_, const X& y_bar, const X& dy_bar_, cotangent_slot<X> da_bar,
                        cotangent_slot<X> db_bar) const {
    const X da = or_zeros(da_, a), db = or_zeros(db_, b), dy_bar = or_zeros(dy_bar_, a);
    if (add_mapped_pair<Readers>(da_bar, db_bar, functor::gated_pullback_tangent_of_both<F>{}, a, b, da, db, y_bar, dy_bar)) return;
    da_bar.add_mapped(functor::gated_pullback_tangent<F>{}, a, b, da, db, y_bar, dy_bar);
    db_bar.add_mapped(functor::value_product_tangent<F>{}, a, da, y_bar, dy_bar);
  }
  void restrict(const batch_part& part) { part.restrict(a), part.restrict(b); }
  X again() { return forward(a, b); }

 private:
  [[nodiscard]] bool of_operands() const { return a.is_operand_alone() && b.is_operand_alone(); }
};

/// y = alpha a + beta b (b may be absent) + gamma
template <class X>
struct combination_rule {
  static constexpr bool linear = true;  // gamma has no derivative
  static constexpr bool elementwise = true;
  using T = typename X::value_type;
  T alpha = 1, beta = 1, gamma = 0;

  X forward(const X& a, const X& b) {
    require(b.absent() || a.extents() == b.extents(), "sum of shapes ", a.extents(), " and ", b.extents());
    return combine(a, b, gamma);
  }
  X pushforward(const X& da, const X& db) const { return combine(da, db, 0); }
  void pullback(const X& y_bar, cotangent_slot<X> a_bar, cotangent_slot<X> b_bar) const {
    scaled_add(a_bar, alpha, y_bar);
    scaled_add(b_bar, beta, y_bar);
  }
  void restrict(const batch_part&) {}

 private:
  X combine(const X& a, const X& b, T shift) const {
    if (b.absent()) return mapped(functor::affine<T>{alpha, shift}, a);
    if (a.absent()) return mapped(functor::affine<T>{beta, shift}, b);
    return mapped(functor::combination<T>{alpha, beta, shift}, a, b);
  }
  static void scaled_add(const cotangent_slot<X>& to, T factor, const X& y_bar) {
    if (factor == T{1}) to.add(y_bar);
    else to.add_mapped(functor::product_with<T>{factor}, y_bar);
  }
};

}  // namespace detail

/// f(x) element by element; F is one of expunge::function or a struct with the same three static members.
template <class F, read_by Readers = read_by::anyone, differentiable_value V>
V unary(const V& x) {
  return apply(detail::unary_rule<F, tensor_of<V>, detail::readers_of<V, Readers>>{}, x);
}

template <differentiable_value V> V relu(const V& x) { return unary<function::relu>(x); }
template <differentiable_value V> V tanh(const V& x) { return unary<function::tanh>(x); }
template <differentiable_value V> V sigmoid(const V& x) { return unary<function::sigmoid>(x); }
template <differentiable_value V> V silu(const V& x) { return unary<function::silu>(x); }
template <differentiable_value V> V gelu(const V& x) { return unary<function::gelu>(x); }
template <read_by Readers = read_by::anyone, differentiable_value V> V gelu_tanh(const V& x) { return unary<function::gelu_tanh, Readers>(x); }
template <differentiable_value V> V exp(const V& x) { return unary<function::exp>(x); }
template <differentiable_value V> V log(const V& x) { return unary<function::log>(x); }
template <differentiable_value V> V log_sigmoid(const V& x) { return unary<function::log_sigmoid>(x); }

/// silu(gate) * up, the SwiGLU of Llama; shapes equal. With read_by::products linear layers alone read it, and make gate and up, as operands
/// alone or not.
template <read_by Readers = read_by::anyone, differentiable_value V>
V swiglu(const V& gate, const V& up) {
  return apply(detail::gated_rule<function::silu, tensor_of<V>, detail::readers_of<V, Readers>>{}, gate, up);
}

template <differentiable_value V>
V operator+(const V& a, const V& b) {
  return apply(detail::combination_rule<tensor_of<V>>{}, a, b);
}
template <differentiable_value V>
V operator-(const V& a, const V& b) {
  return apply(detail::combination_rule<tensor_of<V>>{1, -1, 0}, a, b);
}
template <differentiable_value V>
V operator*(const V& a, const V& b) {
  return apply(detail::gated_rule<function::identity, tensor_of<V>>{}, a, b);
}
/// factor * x + shift, numbers in the elements' precision
template <differentiable_value V>
V affine(const V& x, double factor, double shift = 0) {
  using T = typename tensor_of<V>::value_type;
  return apply(detail::combination_rule<tensor_of<V>>{static_cast<T>(factor), 0, static_cast<T>(shift)}, x, V{});
}
template <differentiable_value V> V operator-(const V& x) { return affine(x, -1); }

namespace detail {
/// A number beside a value. (A class, because clang 14 declares an operator of two plain numbers, which is an error, before it looks at the
/// constraint that rules it out.)
struct number {
  double value;
  constexpr number(double v) : value(v) {}  // implicit
};
}  // namespace detail
template <differentiable_value V> V operator*(detail::number factor, const V& x) { return affine(x, factor.value); }
template <differentiable_value V> V operator*(const V& x, detail::number factor) { return affine(x, factor.value); }
template <differentiable_value V> V operator/(const V& x, detail::number divisor) { return affine(x, 1 / divisor.value); }
template <differentiable_value V> V operator+(detail::number shift, const V& x) { return affine(x, 1, shift.value); }
template <differentiable_value V> V operator+(const V& x, detail::number shift) { return affine(x, 1, shift.value); }
template <differentiable_value V> V operator-(detail::number shift, const V& x) { return affine(x, -1, shift.value); }
template <differentiable_value V> V operator-(const V& x, detail::number shift) { return affine(x, 1, -shift.value); }

}  // namespace expunge

EXPUNGE_INSTANCES(EXPUNGE_AUTODIFF_MAPS, EXPUNGE_HOST_MAP)
