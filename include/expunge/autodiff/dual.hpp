// A value with its tangent: forward-mode differentiation.
#pragma once

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

namespace detail {
template <class V>
struct underlying;
template <class T, class S>
struct underlying<tensor<T, S>> {
  using type = tensor<T, S>;
};
template <class X>
struct underlying<dual<X>> {
  using type = X;
};
}  // namespace detail

}  // namespace expunge
