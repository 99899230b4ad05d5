// A function of one's own, for the host and the device.
#pragma once

#include <expunge/tensor/fn.hpp>

struct cube {
  template <class B> EXPUNGE_DEVICE static B value(const B& x) { return x * x * x; }
  template <class B> EXPUNGE_DEVICE static B slope(const B& x) { return B(3) * x * x; }
  template <class B> EXPUNGE_DEVICE static B curvature(const B& x) { return B(6) * x; }
};
