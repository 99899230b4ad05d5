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

}  // namespace expunge::functor
