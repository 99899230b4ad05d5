// The element-wise arithmetic of the differentiation rules, as named functors.
#pragma once

#include "expunge/autodiff/function.hpp"
#include "expunge/tensor/functor.hpp"

// F is a function of one variable (function.hpp); a and b inputs, d their tangents, g a cotangent of the output.
namespace expunge::functor {

/// F(a)
template <class F>
struct value {
  template <class B>
  EXPUNGE_DEVICE B operator()(const B& a) const {
    return F::value(a);
  }
};

/// F'(a) g
template <class F>
struct slope_product {
  template <class B>
  EXPUNGE_DEVICE B operator()(const B& a, const B& g) const {
    return F::slope(a) * g;
  }
};

/// The tangent of F'(a) g.
template <class F>
struct slope_product_tangent {
  template <class B>
  EXPUNGE_DEVICE B operator()(const B& a, const B& da, const B& g, const B& dg) const {
    return F::curvature(a) * da * g + F::slope(a) * dg;
  }
};

/// F(a) b
template <class F>
struct value_product {
  template <class B>
  EXPUNGE_DEVICE B operator()(const B& a, const B& b) const {
    return F::value(a) * b;
  }
};

/// The tangent of F(a) g.
template <class F>
struct value_product_tangent {
  template <class B>
  EXPUNGE_DEVICE B operator()(const B& a, const B& da, const B& g, const B& dg) const {
    return F::slope(a) * da * g + F::value(a) * dg;
  }
};

/// The tangent of F(a) b.
template <class F>
struct gated_pushforward {
  template <class B>
  EXPUNGE_DEVICE B operator()(const B& a, const B& b, const B& da, const B& db) const {
    return F::slope(a) * da * b + F::value(a) * db;
  }
};

/// The cotangent of a in F(a) b.
template <class F>
struct gated_pullback {
  template <class B>
  EXPUNGE_DEVICE B operator()(const B& a, const B& b, const B& g) const {
    return F::slope(a) * b * g;
  }
};

/// The cotangents of both in F(a) b.
template <class F>
struct gated_pullback_of_both {
  template <class B>
  EXPUNGE_DEVICE void operator()(B& a_bar, B& b_bar, const B& a, const B& b, const B& g) const {
    a_bar = gated_pullback<F>{}(a, b, g);
    b_bar = value_product<F>{}(a, g);
  }
};

/// The tangent of a's.
template <class F>
struct gated_pullback_tangent {
  template <class B>
  EXPUNGE_DEVICE B operator()(const B& a, const B& b, const B& da, const B& db, const B& g, const B& dg) const {
    return F::curvature(a) * da * b * g + F::slope(a) * (db * g + b * dg);
  }
};

/// The tangents of both.
template <class F>
struct gated_pullback_tangent_of_both {
  template <class B>
  EXPUNGE_DEVICE void operator()(B& da_bar, B& db_bar, const B& a, const B& b, const B& da, const B& db, const B& g, const B& dg) const {
    da_bar = gated_pullback_tangent<F>{}(a, b, da, db, g, dg);
    db_bar = value_product_tangent<F>{}(a, da, g, dg);
  }
};

/// factor a + shift
template <class T>
struct affine {
  T factor, shift;
  template <class B>
  EXPUNGE_DEVICE B operator()(const B& a) const {
    return factor * a + shift;
  }
};

/// alpha a + beta b + shift
template <class T>
struct combination {
  T alpha, beta, shift;
  template <class B>
  EXPUNGE_DEVICE B operator()(const B& a, const B& b) const {
    return alpha * a + beta * b + shift;
  }
};

/// factor a
template <class T>
struct product_with {
  T factor;
  template <class B>
  EXPUNGE_DEVICE B operator()(const B& a) const {
    return factor * a;
  }
};

/// Softmax cross-entropy from a row's statistics (host/cross_entropy.hpp): on the right `largest`, `others`, the label's logit and the
/// sum of all; on the left largest becomes the log-sum-exp and others a probability.
template <class T>
struct cross_entropy_value {
  T smoothing, vocabulary;
  template <class B>
  EXPUNGE_DEVICE void operator()(B& nll, B& largest, B& others, const B& label, const B& total) const {
    const B below = label - largest, at_label = fn::exp(below), sum = others + at_label;
    // log1p where the label is likely: there 1 + others would lose others' digits. Elsewhere at_label may be 0.
    const B likely = fn::log1p(others / at_label), unlikely = fn::log(sum) - below;
    nll = fn::select(below > B(T(-5)), likely, unlikely) + smoothing * (label - total / vocabulary);
    largest += fn::log(sum);
    others = others / sum;
  }
};

/// Its tangent, from expected = sum of p dz over all but the label, which becomes the mean of dz - dlabel under p.
template <class T>
struct cross_entropy_tangent {
  T smoothing, vocabulary;
  template <class B>
  EXPUNGE_DEVICE void operator()(B& dnll, B& expected, const B& others, const B& dlabel, const B& dtotal) const {
    expected -= others * dlabel;
    dnll = expected + smoothing * (dlabel - dtotal / vocabulary);
  }
};

}  // namespace expunge::functor

// Lists of them (tensor/functor.hpp): what a function F of one variable needs, and what a gated activation by it needs:
#define EXPUNGE_UNARY_MAPS(MAP, T, F)                                                                                 \
  MAP(expunge::functor::assign<expunge::functor::value<F>>, T*, const T*)                                              \
  EXPUNGE_ADDED_MAPS(MAP, T, expunge::functor::slope_product<F>, const T*, const T*)                                   \
  EXPUNGE_ADDED_MAPS(MAP, T, expunge::functor::slope_product_tangent<F>, const T*, const T*, const T*, const T*)
#define EXPUNGE_GATED_MAPS(MAP, T, F)                                                                                 \
  EXPUNGE_ADDED_MAPS(MAP, T, expunge::functor::value_product<F>, const T*, const T*)                                   \
  EXPUNGE_ADDED_MAPS(MAP, T, expunge::functor::value_product_tangent<F>, const T*, const T*, const T*, const T*)       \
  MAP(expunge::functor::assign<expunge::functor::gated_pushforward<F>>, T*, const T*, const T*, const T*, const T*)    \
  EXPUNGE_ADDED_MAPS(MAP, T, expunge::functor::gated_pullback<F>, const T*, const T*, const T*)                        \
  EXPUNGE_ADDED_MAPS(MAP, T, expunge::functor::gated_pullback_tangent<F>, const T*, const T*, const T*, const T*, const T*, const T*) \
  MAP(expunge::functor::gated_pullback_of_both<F>, T*, T*, const T*, const T*, const T*)                              \
  MAP(expunge::functor::gated_pullback_tangent_of_both<F>, T*, T*, const T*, const T*, const T*, const T*, const T*, const T*)
/// Of what products alone read, elements K.
#define EXPUNGE_AUTODIFF_OPERAND_MAPS(MAP, T, K)                                                                      \
  MAP(expunge::functor::assign<expunge::functor::copy>, T*, const K*)                                                 \
  MAP(expunge::functor::assign<expunge::functor::value_product<expunge::function::silu>>, K*, const T*, const T*)     \
  MAP(expunge::functor::assign<expunge::functor::value_product<expunge::function::silu>>, K*, const K*, const K*)     \
  MAP(expunge::functor::gated_pullback_of_both<expunge::function::silu>, K*, K*, const K*, const K*, const K*)        \
  MAP(expunge::functor::assign<expunge::functor::gated_pushforward<expunge::function::silu>>, K*, const T*, const T*, const T*, const T*) \
  MAP(expunge::functor::along_both<expunge::functor::gated_pullback_of_both<expunge::function::silu>>, K*, K*, T*, T*, const T*, const T*, const T*) \
  MAP(expunge::functor::along_both<expunge::functor::gated_pullback_tangent_of_both<expunge::function::silu>>, K*, K*, T*, T*, const T*, const T*, const T*, const T*, const T*, const T*) \
  MAP(expunge::functor::assign<expunge::functor::value<expunge::function::gelu_tanh>>, K*, const T*)                  \
  MAP(expunge::functor::assign<expunge::functor::slope_product<expunge::function::gelu_tanh>>, K*, const T*, const T*)
#define EXPUNGE_AUTODIFF_MAPS(MAP, T)                                                                                 \
  MAP(expunge::functor::assign<expunge::functor::affine<T>>, T*, const T*)                                             \
  EXPUNGE_ADDED_MAPS(MAP, T, expunge::functor::product_with<T>, const T*)                                              \
  MAP(expunge::functor::assign<expunge::functor::combination<T>>, T*, const T*, const T*)                              \
  MAP(expunge::functor::cross_entropy_value<T>, T*, T*, T*, const T*, const T*)                                       \
  MAP(expunge::functor::cross_entropy_tangent<T>, T*, T*, const T*, const T*, const T*)                               \
  EXPUNGE_UNARY_MAPS(MAP, T, expunge::function::relu)                                                                 \
  EXPUNGE_UNARY_MAPS(MAP, T, expunge::function::tanh)                                                                 \
  EXPUNGE_UNARY_MAPS(MAP, T, expunge::function::sigmoid)                                                              \
  EXPUNGE_UNARY_MAPS(MAP, T, expunge::function::log_sigmoid)                                                          \
  EXPUNGE_UNARY_MAPS(MAP, T, expunge::function::exp)                                                                  \
  EXPUNGE_UNARY_MAPS(MAP, T, expunge::function::log)                                                                  \
  EXPUNGE_UNARY_MAPS(MAP, T, expunge::function::silu)                                                                 \
  EXPUNGE_UNARY_MAPS(MAP, T, expunge::function::gelu)                                                                 \
  EXPUNGE_UNARY_MAPS(MAP, T, expunge::function::gelu_tanh)                                                            \
  EXPUNGE_GATED_MAPS(MAP, T, expunge::function::silu)                                                                 \
  EXPUNGE_GATED_MAPS(MAP, T, expunge::function::identity)
