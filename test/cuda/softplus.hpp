// A user's own function, as the device's compiler sees it too.
#pragma once

#include <expunge/autodiff/function.hpp>

/// log(1 + exp(x))
struct softplus {
  template <class B> EXPUNGE_DEVICE static B value(const B& x) { return expunge::fn::log1p(expunge::fn::exp(x)); }
  template <class B> EXPUNGE_DEVICE static B slope(const B& x) { return expunge::function::sigmoid::value(x); }
  template <class B> EXPUNGE_DEVICE static B curvature(const B& x) { return expunge::function::sigmoid::slope(x); }
};
