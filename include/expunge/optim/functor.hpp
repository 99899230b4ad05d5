// The optimizers' arithmetic on one parameter w with gradient g, as named functors.
#pragma once

#include <limits>

#include "expunge/tensor/fn.hpp"
#include "expunge/tensor/functor.hpp"

namespace expunge::functor {

template <class T>
struct sgd {
  T rate, scale, decay;
  template <class B>
  EXPUNGE_DEVICE void operator()(B& w, const B& g) const {
    w -= rate * (scale * g + decay * w);
  }
};

/// x, or 0 where that is subnormal: what decays would stay there for ever where gradients have ended, and processors take up to ten times as
/// long over subnormal numbers.
template <class T>
struct without_subnormals {
  static constexpr T least = std::numeric_limits<T>::min();
  template <class B>
  EXPUNGE_DEVICE static B of(const B& x) {
    return fn::select(fn::abs(x) < B(least), B(T{0}), x);
  }
};

/// v is the velocity.
template <class T>
struct sgd_momentum {
  T rate, scale, decay, momentum;
  template <class B>
  EXPUNGE_DEVICE void operator()(B& w, B& v, const B& g) const {
    v = without_subnormals<T>::of(momentum * v + scale * g + decay * w);
    w -= rate * v;
  }
};

/// m and v are the moments; c1 = 1 - b1, c2 = 1 - b2; size and correction hold the bias corrections.
template <class T>
struct adamw {
  T keep, scale, b1, b2, c1, c2, size, correction, epsilon;
  template <class B>
  EXPUNGE_DEVICE void operator()(B& w, B& m, B& v, const B& gradient) const {
    const B g = scale * gradient;
    m = without_subnormals<T>::of(b1 * m + c1 * g);
    v = without_subnormals<T>::of(b2 * v + c2 * g * g);
    w = keep * w - size * m / (correction * fn::sqrt(v) + epsilon);
  }
};

}  // namespace expunge::functor

// Lists of them: tensor/functor.hpp; EXPUNGE_OPTIM_OPERAND_MAPS where what products keep of w, elements K, is written too.
#define EXPUNGE_OPTIM_MAPS(MAP, T)                                                                                    \
  MAP(expunge::functor::sgd<T>, T*, const T*)                                                                         \
  MAP(expunge::functor::sgd_momentum<T>, T*, T*, const T*)                                                            \
  MAP(expunge::functor::adamw<T>, T*, T*, T*, const T*)
#define EXPUNGE_OPTIM_OPERAND_MAPS(MAP, T, K)                                                                         \
  MAP(expunge::functor::along<expunge::functor::sgd<T>>, K*, T*, const T*)                                            \
  MAP(expunge::functor::along<expunge::functor::sgd_momentum<T>>, K*, T*, T*, const T*)                               \
  MAP(expunge::functor::along<expunge::functor::adamw<T>>, K*, T*, T*, T*, const T*)
