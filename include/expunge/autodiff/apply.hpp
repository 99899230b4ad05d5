// How an operation, stated once as a rule on tensors, acts on every value type.
//
// A rule is a struct with its settings and what it saves, default-constructible and copyable:
//   X    forward(const X&... x);                                    value; keeps what the other three need
//   X    pushforward(const X&... dx);                               tangent of the value; any dx may be absent (zero); may keep more
//   void pullback(const X& y_bar, cotangent_slot<X>... x_bar) const;
//   void pullback_tangent(const X&... dx, const X& y_bar, const X& dy_bar, cotangent_slot<X>... dx_bar) const;
//                                                                   derivative of pullback along (dx, dy_bar); called only
//                                                                   where y_bar and one of dx are present; dy_bar may be absent
// A cotangent has the shape of its input. A slot whose cotangent is not wanted() (the input is a constant) takes nothing: what is costly to
// compute for it need not be.
// A rule that is linear in all its inputs jointly says `static constexpr bool linear = true` and has no pullback_tangent.
//   void restrict(const batch_part& part);                          cuts what was saved down to a part of the batch's examples
// is needed where a model's batches offer `row_counts` (nn/model_concept.hpp); a rule that takes its rows from an index says
// `static constexpr bool indexes_batch = true`; one whose cotangents of parameters are products over rows
// `static constexpr std::size_t weight_input`, the number of the input that may have no rows, and where that one's cotangent is a product that
// does with y_bar as an operand alone, `bool weight_takes_operand() const`; one whose inputs and value have one shape `elementwise`:
// a constant beside a parameter (a mask, the weight that LoRA adds to) then has no rows either.
// `static constexpr int operand_cotangents`: the highest order of derivatives, 1 or 2, in which the rule accepts y_bar (and dy_bar) as operands
// alone; 0, the default: it needs their elements.
//   X again();                                                      the value once more, from what was saved
//   bool forget(const X& x); void remember(const X& x);             lets go of x where it was saved, and takes it again
// are for values that are not kept for the sweep (recompute.hpp): the first of those that make one, the others of those that read it.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>

#include "expunge/autodiff/batch_part.hpp"
#include "expunge/autodiff/dual.hpp"
#include "expunge/autodiff/tape.hpp"

namespace expunge {

namespace detail {

template <class V>
struct underlying<var<V>> : underlying<V> {};

template <class Rule>
constexpr int operand_cotangents = 0;
template <class Rule>
  requires requires { Rule::operand_cotangents; }
constexpr int operand_cotangents<Rule> = Rule::operand_cotangents;

template <class X, class Rule, std::size_t N>
struct operation final : node<X> {
  static_assert(std::default_initializable<Rule> && std::copyable<Rule>, "a rule must be default-constructible and copyable (autodiff/apply.hpp)");
  Rule rule;
  std::array<node<X>*, N> inputs;
  bool released = false;

  operation(Rule&& r, std::array<node<X>*, N> in) : rule(std::move(r)), inputs(in) {
    this->adjoint.for_products = operand_cotangents<Rule> >= 1;
  }

  void pullback() override {
    require_not_swept(released);
    const auto slot = [](node<X>* n) { return cotangent_slot<X>(n != nullptr ? &n->adjoint : nullptr); };
    std::apply([&](auto*... n) { rule.pullback(this->adjoint.value, slot(n)...); }, inputs);
    for (const node<X>* n : inputs)
      if (n != nullptr) require_fits("pullback", n->adjoint.value, n->size);
  }
  void release() override {
    rule = Rule{};
    this->adjoint.value = {};
    released = true;
  }
  bool forget(const X& value) override {
    if constexpr (requires { rule.forget(value); }) return rule.forget(value);
    else return false;
  }
  void remember(const X& value) override {
    if constexpr (requires { rule.remember(value); }) rule.remember(value);
  }
  X again() override {
    if constexpr (requires { rule.again(); }) return rule.again();
    else return node<X>::again();
  }
};

}  // namespace detail

/// The tensor under a value type: X for X, dual<X>, var<X> and var<dual<X>>.
template <class V>
using tensor_of = typename detail::underlying<std::remove_cvref_t<V>>::type;

template <class V>
concept differentiable_value = requires { typename tensor_of<V>; };

namespace detail {
/// Rules differ by their readers only where that changes what they make.
template <class V, read_by Readers>
inline constexpr read_by readers_of = converting_storage<typename tensor_of<V>::storage_type> ? Readers : read_by::anyone;
/// The same for values whose cotangents are such too: derivatives to second order take elements.
template <class V, read_by Readers>
inline constexpr read_by readers_to_first_order_of = is_tensor<V> || std::same_as<V, var<tensor_of<V>>> ? readers_of<V, Readers> : read_by::anyone;
}  // namespace detail

/// The tensor without derivatives.
template <class T, class S>
const tensor<T, S>& primal_of(const tensor<T, S>& x) {
  return x;
}
template <class X>
const X& primal_of(const dual<X>& x) {
  return x.primal;
}
template <class V>
const tensor_of<V>& primal_of(const var<V>& x) {
  return x.value;
}

/// f(), a part of a model that reads x: where that, or a sweep over what it records, runs out of memory, the error names the part.
template <class V, class F>
auto in_part(const V& x, const std::string& name, const F& f) {
  if constexpr (requires { x.on->begin_part(name); })
    if (x.on != nullptr) x.on->begin_part(name);
  return with_purpose(f, name);
}

/// Inference.
template <class Rule, class T, class S, std::same_as<tensor<T, S>>... Rest>
tensor<T, S> apply(Rule rule, const tensor<T, S>& first, const Rest&... rest) {
  return rule.forward(first, rest...);
}

/// Forward mode.
template <class Rule, class X, std::same_as<dual<X>>... Rest>
dual<X> apply(Rule rule, const dual<X>& first, const Rest&... rest) {
  X value = rule.forward(first.primal, rest.primal...);
  if (first.tangent.absent() && (rest.tangent.absent() && ...)) return {std::move(value), {}};
  X tangent = rule.pushforward(first.tangent, rest.tangent...);
  detail::require_fits("pushforward", tangent, value.size());
  return {std::move(value), std::move(tangent)};
}

/// Reverse mode: recorded unless every input is a constant.
template <class Rule, class T, class S, std::same_as<var<tensor<T, S>>>... Rest>
var<tensor<T, S>> apply(Rule rule, const var<tensor<T, S>>& first, const Rest&... rest) {
  using X = tensor<T, S>;
  X value = rule.forward(first.value, rest.value...);
  auto* const on = detail::tape_of(first, rest...);
  if (on == nullptr) return {std::move(value)};
  auto* made = on->template emplace<detail::operation<X, Rule, 1 + sizeof...(Rest)>>(
      std::move(rule), std::array{first.origin, rest.origin...});
  made->size = value.size();
  return {std::move(value), made, on};
}

}  // namespace expunge
