// The element-wise arithmetic of attributions, as named functors; P = exp(-S) is the joint probability.
#pragma once

#include "expunge/tensor/fn.hpp"
#include "expunge/tensor/functor.hpp"

namespace expunge::functor {

/// P
struct joint_probability {
  template <class B>
  EXPUNGE_DEVICE B operator()(const B& s) const {
    return fn::exp(-s);
  }
};

/// dP/dS, or d(-S)/dS where not `of_probability`.
struct measured_slope {
  bool of_probability;
  template <class B>
  EXPUNGE_DEVICE B operator()(const B& s) const {
    return of_probability ? B(-fn::exp(-s)) : B(-1);
  }
};

/// w + P dS
struct second_seed {
  template <class B>
  EXPUNGE_DEVICE B operator()(const B& w, const B& p, const B& ds) const {
    return w + p * ds;
  }
};

}  // namespace expunge::functor

// A list of them: tensor/functor.hpp.
#define EXPUNGE_ATTRIBUTION_MAPS(MAP, T)                                                                              \
  MAP(expunge::functor::assign<expunge::functor::joint_probability>, T*, const T*)                                     \
  MAP(expunge::functor::assign<expunge::functor::measured_slope>, T*, const T*)                                        \
  MAP(expunge::functor::assign<expunge::functor::second_seed>, T*, const T*, const T*, const T*)
