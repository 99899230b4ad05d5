// The element-wise arithmetic of SSIUU's penalty, as named functors; d is the difference of two attributions, m the mask.
#pragma once

#include "expunge/tensor/fn.hpp"
#include "expunge/tensor/functor.hpp"

namespace expunge::functor {

/// 1 where a < 0, else 0: the neurons that suppress.
struct negative_mask {
  template <class B>
  EXPUNGE_DEVICE B operator()(const B& a) const {
    return fn::select(a < B(0), B(1), B(0));
  }
};

/// d *= m
struct apply_mask {
  template <class B>
  EXPUNGE_DEVICE void operator()(B& d, const B& m) const {
    d *= m;
  }
};

/// 2 lambda d, the slope of lambda d^2.
template <class T>
struct square_slope {
  T lambda;
  template <class B>
  EXPUNGE_DEVICE B operator()(const B& d) const {
    return T(2) * lambda * d;
  }
};

/// v = m sign(d), the slope of m |d|;  d = m |d|.
struct masked_magnitude {
  template <class B>
  EXPUNGE_DEVICE void operator()(B& v, B& d, const B& m) const {
    v = m * fn::sign(d);
    d = m * fn::abs(d);
  }
};

}  // namespace expunge::functor
