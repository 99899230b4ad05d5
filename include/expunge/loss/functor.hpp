// The element-wise arithmetic of SSIUU's penalty, as named functors; d is the difference of two attributions a.
#pragma once

#include "expunge/tensor/fn.hpp"
#include "expunge/tensor/functor.hpp"

namespace expunge::functor {

/// d where a < 0, else 0: what is left are the features that suppress.
struct keep_where_negative {
  template <class B>
  EXPUNGE_DEVICE void operator()(B& d, const B& a) const {
    d = fn::select(a < B(0), d, B(0));
  }
};

/// The slope of |d|; 0 at 0.
struct sign {
  template <class B>
  EXPUNGE_DEVICE B operator()(const B& d) const {
    return fn::sign(d);
  }
};

/// SSIUU's penalty on the parameters' attributions a = phi g, in one sweep: where a < 0 adds lambda d rho(a - previous) / da g to the
/// gradient (first order) and sets the tangent of phi from which the rest follows (exact); previous becomes a. Returns rho.
template <class T>
struct parameter_penalty {
  bool squared;
  T lambda;
  template <class B>
  EXPUNGE_DEVICE B operator()(B& previous, B& gradient, const B& g, const B& phi) const {
    B tangent;
    return (*this)(previous, gradient, tangent, g, phi);
  }
  template <class B>
  EXPUNGE_DEVICE B operator()(B& previous, B& gradient, B& tangent, const B& g, const B& phi) const {
    const B a = phi * g, d = fn::select(a < B(0), B(a - previous), B(0));
    const B slope = squared ? B(T(2) * lambda * d) : B(lambda * fn::sign(d));
    gradient += slope * g;
    tangent = slope * phi;
    previous = a;
    return squared ? B(d * d) : fn::abs(d);
  }
};

}  // namespace expunge::functor

// Lists of them: tensor/functor.hpp.
#define EXPUNGE_LOSS_MAPS(MAP, T)                                                                                     \
  MAP(expunge::functor::keep_where_negative, T*, const T*)                                                            \
  MAP(expunge::functor::assign<expunge::functor::sign>, T*, const T*)
#define EXPUNGE_LOSS_SUMS(MAP_SUM, T)                                                                                 \
  MAP_SUM(expunge::functor::parameter_penalty<T>, T*, T*, const T*, const T*)                                         \
  MAP_SUM(expunge::functor::parameter_penalty<T>, T*, T*, T*, const T*, const T*)
