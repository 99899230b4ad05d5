// Element-wise operations: activations and other functions of one variable, sums, products, and gated activations.
#pragma once

#include <numbers>

#include <xsimd/xsimd.hpp>

#include "expunge/autodiff/apply.hpp"

namespace expunge {

/// Functions of one variable with their first two derivatives, on xsimd batches. A user's own function is one more struct.
namespace function {

struct relu {
  template <class B> static B value(const B& x) { return xsimd::max(x, B(0)); }
  template <class B> static B slope(const B& x) { return xsimd::select(x > B(0), B(1), B(0)); }
  template <class B> static B curvature(const B&) { return B(0); }
};

struct tanh {
  template <class B> static B value(const B& x) { return xsimd::tanh(x); }
  template <class B> static B slope(const B& x) {
    const B t = value(x);
    return B(1) - t * t;
  }
  template <class B> static B curvature(const B& x) {
    const B t = value(x);
    return B(-2) * t * (B(1) - t * t);
  }
};

struct sigmoid {
  template <class B> static B value(const B& x) { return B(1) / (B(1) + xsimd::exp(-x)); }
  template <class B> static B slope(const B& x) {
    const B s = value(x);
    return s * (B(1) - s);
  }
  template <class B> static B curvature(const B& x) {
    const B s = value(x);
    return s * (B(1) - s) * (B(1) - B(2) * s);
  }
};

/// log(sigmoid(x)), accurate for large |x|.
struct log_sigmoid {
  template <class B> static B value(const B& x) { return xsimd::min(x, B(0)) - xsimd::log1p(xsimd::exp(-xsimd::abs(x))); }
  template <class B> static B slope(const B& x) { return sigmoid::value(-x); }
  template <class B> static B curvature(const B& x) { return -sigmoid::slope(x); }
};

struct exp {
  template <class B> static B value(const B& x) { return xsimd::exp(x); }
  template <class B> static B slope(const B& x) { return xsimd::exp(x); }
  template <class B> static B curvature(const B& x) { return xsimd::exp(x); }
};

struct log {
  template <class B> static B value(const B& x) { return xsimd::log(x); }
  template <class B> static B slope(const B& x) { return B(1) / x; }
  template <class B> static B curvature(const B& x) { return B(-1) / (x * x); }
};

struct silu {
  template <class B> static B value(const B& x) { return x * sigmoid::value(x); }
  template <class B> static B slope(const B& x) {
    const B s = sigmoid::value(x);
    return s * (B(1) + x * (B(1) - s));
  }
  template <class B> static B curvature(const B& x) {
    const B s = sigmoid::value(x);
    return s * (B(1) - s) * (B(2) + x * (B(1) - B(2) * s));
  }
};

/// x * Phi(x) with the normal distribution function.
struct gelu {
  template <class B> static B value(const B& x) { return x * cdf(x); }
  template <class B> static B slope(const B& x) { return cdf(x) + x * density(x); }
  template <class B> static B curvature(const B& x) { return density(x) * (B(2) - x * x); }

 private:
  template <class B> static B cdf(const B& x) {
    using T = typename B::value_type;
    return B(T(0.5)) * (B(1) + xsimd::erf(x * B(T(1) / std::numbers::sqrt2_v<T>)));
  }
  template <class B> static B density(const B& x) {
    using T = typename B::value_type;
    return B(T(0.5) * std::numbers::inv_sqrtpi_v<T> * std::numbers::sqrt2_v<T>) * xsimd::exp(B(T(-0.5)) * x * x);
  }
};

/// The tanh approximation of gelu (GPT-2's "gelu_new"): x/2 (1 + tanh(u)), u = sqrt(2/pi) (x + 0.044715 x^3).
struct gelu_tanh {
  template <class B> static B value(const B& x) { return half(x) * (B(1) + xsimd::tanh(u(x))); }
  template <class B> static B slope(const B& x) {
    const B t = xsimd::tanh(u(x));
    return half(B(1) + t + x * (B(1) - t * t) * du(x));
  }
  template <class B> static B curvature(const B& x) {
    const B t = xsimd::tanh(u(x));
    return (B(1) - t * t) * (du(x) + half(x) * (ddu(x) - B(2) * t * du(x) * du(x)));
  }

 private:
  template <class B> using scalar = typename B::value_type;
  template <class T> static constexpr T c = std::numbers::sqrt2_v<T> * std::numbers::inv_sqrtpi_v<T>;
  template <class B> static B half(const B& x) { return B(scalar<B>(0.5)) * x; }
  template <class B> static B u(const B& x) { return B(c<scalar<B>>) * (x + B(scalar<B>(0.044715)) * x * x * x); }
  template <class B> static B du(const B& x) { return B(c<scalar<B>>) * (B(1) + B(scalar<B>(3 * 0.044715)) * x * x); }
  template <class B> static B ddu(const B& x) { return B(c<scalar<B>> * scalar<B>(6 * 0.044715)) * x; }
};

}  // namespace function

namespace detail {

template <class X>
X or_zeros(const X& x, const X& like) {
  return x.absent() ? zeros<X>(like.extents()) : x;
}

template <class F, class X>
struct unary_rule {
  X x{};

  X forward(const X& x_) {
    x = x_;
    return mapped([](auto& y, const auto& a) { y = F::value(a); }, x);
  }
  X pushforward(const X& dx) const {
    return mapped([](auto& y, const auto& a, const auto& da) { y = F::slope(a) * da; }, x, dx);
  }
  void pullback(const X& y_bar, cotangent_slot<X> x_bar) const {
    if (x_bar.wanted()) x_bar.add_mapped([](const auto& a, const auto& g) { return F::slope(a) * g; }, x, y_bar);
  }
  void pullback_tangent(const X& dx, const X& y_bar, const X& dy_bar, cotangent_slot<X> dx_bar) const {
    if (!dx_bar.wanted()) return;
    dx_bar.add_mapped(
        [](const auto& a, const auto& da, const auto& g, const auto& dg) { return F::curvature(a) * da * g + F::slope(a) * dg; },
        x, dx, y_bar, or_zeros(dy_bar, x));
  }
};

/// y = F(a) * b: the gated activation of a transformer's feed-forward layer.
template <class F, class X>
struct gated_rule {
  X a{}, b{};

  X forward(const X& a_, const X& b_) {
    require(a_.extents() == b_.extents(), "gated activation of shapes ", a_.extents(), " and ", b_.extents());
    a = a_;
    b = b_;
    return mapped([](auto& y, const auto& p, const auto& q) { y = F::value(p) * q; }, a, b);
  }
  X pushforward(const X& da, const X& db) const {
    return mapped([](auto& y, const auto& p, const auto& q, const auto& dp,
                     const auto& dq) { y = F::slope(p) * dp * q + F::value(p) * dq; },
                  a, b, or_zeros(da, a), or_zeros(db, b));
  }
  void pullback(const X& y_bar, cotangent_slot<X> a_bar, cotangent_slot<X> b_bar) const {
    if (a_bar.wanted())
      a_bar.add_mapped([](const auto& p, const auto& q, const auto& g) { return F::slope(p) * q * g; }, a, b, y_bar);
    if (b_bar.wanted()) b_bar.add_mapped([](const auto& p, const auto& g) { return F::value(p) * g; }, a, y_bar);
  }
  void pullback_tangent(const X& da_, const X& db_, const X& y_bar, const X& dy_bar_, cotangent_slot<X> da_bar,
                        cotangent_slot<X> db_bar) const {
    const X da = or_zeros(da_, a), db = or_zeros(db_, b), dy_bar = or_zeros(dy_bar_, a);
    if (da_bar.wanted())
      da_bar.add_mapped(
          [](const auto& p, const auto& q, const auto& dp, const auto& dq, const auto& g, const auto& dg) {
            return F::curvature(p) * dp * q * g + F::slope(p) * (dq * g + q * dg);
          },
          a, b, da, db, y_bar, dy_bar);
    if (db_bar.wanted())
      db_bar.add_mapped([](const auto& p, const auto& dp, const auto& g,
                           const auto& dg) { return F::slope(p) * dp * g + F::value(p) * dg; },
                        a, da, y_bar, dy_bar);
  }
};

/// y = alpha a + beta b (b may be absent) + gamma
template <class X>
struct combination_rule {
  static constexpr bool linear = true;  // gamma has no derivative
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

 private:
  X combine(const X& a, const X& b, T shift) const {
    const T p = alpha, q = beta;
    if (b.absent()) return mapped([=](auto& y, const auto& u) { y = p * u + shift; }, a);
    if (a.absent()) return mapped([=](auto& y, const auto& u) { y = q * u + shift; }, b);
    return mapped([=](auto& y, const auto& u, const auto& v) { y = p * u + q * v + shift; }, a, b);
  }
  static void scaled_add(const cotangent_slot<X>& to, T factor, const X& y_bar) {
    if (!to.wanted()) return;
    if (factor == T{1}) to.add(y_bar);
    else to.add_mapped([factor](const auto& g) { return factor * g; }, y_bar);
  }
};

/// y = a b, element by element: the gated activation with the identity.
struct identity_function {
  template <class B> static B value(const B& x) { return x; }
  template <class B> static B slope(const B&) { return B(1); }
  template <class B> static B curvature(const B&) { return B(0); }
};

}  // namespace detail

/// f(x) element by element; F is one of expunge::function or a struct with the same three static members.
template <class F, differentiable_value V>
V unary(const V& x) {
  return apply(detail::unary_rule<F, tensor_of<V>>{}, x);
}

template <differentiable_value V> V relu(const V& x) { return unary<function::relu>(x); }
template <differentiable_value V> V tanh(const V& x) { return unary<function::tanh>(x); }
template <differentiable_value V> V silu(const V& x) { return unary<function::silu>(x); }
template <differentiable_value V> V gelu(const V& x) { return unary<function::gelu>(x); }
template <differentiable_value V> V gelu_tanh(const V& x) { return unary<function::gelu_tanh>(x); }
template <differentiable_value V> V exp(const V& x) { return unary<function::exp>(x); }
template <differentiable_value V> V log(const V& x) { return unary<function::log>(x); }
template <differentiable_value V> V log_sigmoid(const V& x) { return unary<function::log_sigmoid>(x); }

/// silu(gate) * up, the SwiGLU of Llama; shapes equal.
template <differentiable_value V>
V swiglu(const V& gate, const V& up) {
  return apply(detail::gated_rule<function::silu, tensor_of<V>>{}, gate, up);
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
  return apply(detail::gated_rule<detail::identity_function, tensor_of<V>>{}, a, b);
}
/// factor * x + shift
template <differentiable_value V>
V affine(const V& x, typename tensor_of<V>::value_type factor, typename tensor_of<V>::value_type shift = 0) {
  return apply(detail::combination_rule<tensor_of<V>>{factor, 0, shift}, x, V{});
}
template <differentiable_value V>
V operator*(typename tensor_of<V>::value_type factor, const V& x) {
  return affine(x, factor);
}

}  // namespace expunge
