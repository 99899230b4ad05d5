// The operations that expunge::compiled holds: recorded to either order, or only evaluated.
#pragma once

#include "expunge/autodiff/attention.hpp"
#include "expunge/autodiff/elementwise.hpp"
#include "expunge/autodiff/instances.hpp"
#include "expunge/autodiff/linear.hpp"
#include "expunge/autodiff/linear_cross_entropy.hpp"
#include "expunge/autodiff/norm.hpp"
#include "expunge/autodiff/rows.hpp"
#include "expunge/autodiff/second_order.hpp"

// OPERATION(T, REPEAT, RULE): a rule on tensors of T; REPEAT(V) is V for each of its inputs behind the first.
#define EXPUNGE_AUTODIFF_OPERATIONS(OPERATION, T)                                                                                        \
  OPERATION(T, EXPUNGE_UNARY, expunge::detail::gather_rule<expunge::tensor<T>>)                                                          \
  OPERATION(T, EXPUNGE_UNARY, expunge::detail::segment_sum_rule<expunge::tensor<T>>)                                                     \
  OPERATION(T, EXPUNGE_UNARY, expunge::detail::rotary_rule<expunge::tensor<T>>)                                                          \
  OPERATION(T, EXPUNGE_UNARY, expunge::detail::cross_entropy_rule<expunge::tensor<T>>)                                                   \
  OPERATION(T, EXPUNGE_UNARY, expunge::detail::unary_rule<expunge::function::gelu_tanh, expunge::tensor<T>>)                             \
  OPERATION(T, EXPUNGE_BINARY, expunge::detail::gated_rule<expunge::function::silu, expunge::tensor<T>>)                                 \
  OPERATION(T, EXPUNGE_BINARY, expunge::detail::combination_rule<expunge::tensor<T>>)                                                    \
  OPERATION(T, EXPUNGE_BINARY, expunge::detail::linear_cross_entropy_rule<expunge::tensor<T>>)                                           \
  OPERATION(T, EXPUNGE_TERNARY, expunge::detail::norm_rule<expunge::tensor<T>, false>)                                                   \
  OPERATION(T, EXPUNGE_TERNARY, expunge::detail::norm_rule<expunge::tensor<T>, true>)                                                    \
  OPERATION(T, EXPUNGE_TERNARY, expunge::detail::attention_rule<expunge::tensor<T>>)                                                     \
  OPERATION(T, EXPUNGE_QUATERNARY, expunge::detail::linear_rule<expunge::tensor<T>>)
EXPUNGE_OPERATION_INSTANCES(EXPUNGE_AUTODIFF_OPERATIONS)
