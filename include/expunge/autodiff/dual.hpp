// A value with its tangent: forward-mode differentiation.
#pragma once

#include <utility>

#include "expunge/tensor/tensor.hpp"

namespace expunge {

/// `tangent` is the directional derivative of `primal`; an absent tangent is a structural zero.
template <class X>
struct dual {
  X primal;
  X tangent{};
};

template <class X>
dual(X) -> dual<X>;
template <class X>
dual(X, X) -> dual<X>;

}  // namespace expunge
