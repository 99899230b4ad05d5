// Forward-over-reverse: a tape whose recording can be replayed with tangents. Exact Hessian-vector products without a graph
// of a graph, and with the primal activations and cotangents of the first sweep reused.
//
//   record f on tape<dual<X>>; pullback(y, seed)   first sweep: primal cotangents, kept
//   set_tangent(leaf or gate, direction); pushforward()   tangents of all recorded values; absent ones stay absent
//   pullback_tangent(y, dseed)                     second sweep: the derivative of every cotangent along the direction
//
// Each once: the sweeps use up what was saved. For another direction record again.
#pragma once

#include <array>
#include <concepts>
#include <type_traits>
#include <utility>

#include "expunge/autodiff/replayable.hpp"

namespace expunge {

namespace detail {

/// Nothing but parameters and absent values, and constants of a parameter's shape; a rule that indexes the batch makes rows of it.
template <class Rule, class... V>
bool made_of_parameters(const V&... inputs) {
  constexpr bool indexes = requires { requires Rule::indexes_batch; }, elementwise = requires { requires Rule::elementwise; };
  const auto fits = [](const auto& v) { return v.value.absent() || (v.origin != nullptr ? v.origin->of_parameters : elementwise); };
  return !indexes && (fits(inputs) && ...);
}

}  // namespace detail

/// Forward over reverse.
template <class Rule, class X, std::same_as<var<dual<X>>>... Rest>
var<dual<X>> apply(Rule rule, const var<dual<X>>& first, const Rest&... rest) {
  X value = rule.forward(first.value, rest.value...);
  auto* const on = detail::tape_of(first, rest...);
  if (on == nullptr) return {std::move(value)};
  constexpr std::size_t inputs = 1 + sizeof...(Rest);
  using made_type = std::conditional_t<requires { Rule::weight_input; }, detail::postponing<X, Rule, inputs>, detail::replayable<X, Rule, inputs>>;
  auto* made = on->template emplace<made_type>(std::move(rule), std::array{first.origin, rest.origin...});
  made->of_parameters = detail::made_of_parameters<Rule>(first, rest...);
  made->size = value.size();
  return {std::move(value), made, on};
}

}  // namespace expunge
