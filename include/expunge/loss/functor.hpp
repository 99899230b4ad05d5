// The element-wise arithmetic of SSIUU's penalty, as named functors; d is the difference of two attributions a.
#pragma once

#include "expunge/tensor/fn.hpp"
#include "expunge/tensor/functor.hpp"

namespace expunge::functor {

/// SSIUU's penalty rho(d), |d| or its square, of the features that suppress: those whose attribution `a` is negative. Returns rho; the
/// others' is 0, as is the slope of |d| at 0.
template <class T>
struct growth_penalty {
  bool squared;
  T lambda;
  /// d becomes lambda d rho / dd.
  template <class B>
  EXPUNGE_DEVICE B operator()(B& d, const B& a) const {
    const B grown = fn::select(a < B(0), d, B(0));
    d = squared ? B(T(2) * lambda * grown) : B(lambda * fn::sign(grown));
    return squared ? B(grown * grown) : fn::abs(grown);
  }
  /// Of d = a - previous; previous becomes a.
  template <class B>
  EXPUNGE_DEVICE B operator()(B& previous, B& slope, const B& a) const {
    slope = a - previous;
    previous = a;
    return (*this)(slope, a);
  }
};

/// The same on the parameters' attributions a = phi g, in one sweep: adds the slope times g to the gradient (first order) and sets the
/// tangent of phi from which the rest follows (exact).
template <class T>
struct parameter_penalty {
  growth_penalty<T> of;
  template <class B>
  EXPUNGE_DEVICE B operator()(B& previous, B& gradient, const B& g, const B& phi) const {
    B tangent;
    return (*this)(previous, gradient, tangent, g, phi);
  }
  template <class B>
  EXPUNGE_DEVICE B operator()(B& previous, B& gradient, B& tangent, const B& g, const B& phi) const {
    B slope;
    const B rho = of(previous, slope, B(phi * g));
    gradient += slope * g;
    tangent = slope * phi;
    return rho;
  }
};

}  // namespace expunge::functor

// Lists of them: tensor/functor.hpp.
#define EXPUNGE_LOSS_SUMS(MAP_SUM, T)                                                                                 \
  MAP_SUM(expunge::functor::growth_penalty<T>, T*, const T*)                                                          \
  MAP_SUM(expunge::functor::growth_penalty<T>, T*, T*, const T*)
#define EXPUNGE_LOSS_SUMS_OF_MANY(MAP_SUM, T)                                                                         \
  MAP_SUM(expunge::functor::parameter_penalty<T>, T*, T*, const T*, const T*)                                         \
  MAP_SUM(expunge::functor::parameter_penalty<T>, T*, T*, T*, const T*, const T*)
