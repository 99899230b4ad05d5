// Forward-over-reverse: a tape whose recording can be replayed with tangents. Exact Hessian-vector products without a graph
// of a graph, and with the primal activations and cotangents of the first sweep reused.
//
//   record f on tape<dual<X>>; pullback(y, seed)   first sweep: primal cotangents, kept
//   set_tangent(leaf or gate, direction); pushforward()   tangents of all recorded values; absent ones stay absent
//   pullback_tangent(y, dseed)                     second sweep: the derivative of every cotangent along the direction
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <tuple>
#include <utility>

#include "expunge/autodiff/second_order_tape.hpp"

namespace expunge {

namespace detail {

template <class X, class Rule, std::size_t N>
struct replayable final : node<dual<X>> {
  Rule rule;
  std::array<node<dual<X>>*, N> inputs;
  replayable(Rule&& r, std::array<node<dual<X>>*, N> in) : rule(std::move(r)), inputs(in) {}

  static const X& tangent_at(const node<dual<X>>* n) {
    static const X zero{};
    return n != nullptr ? n->tangent : zero;
  }
  void pullback() override {
    const auto slot = [](auto* n) { return cotangent_slot<X>(n != nullptr ? &n->adjoint : nullptr); };
    std::apply([&](auto*... n) { rule.pullback(this->adjoint.value, slot(n)...); }, inputs);
  }
  void pushforward() override {
    std::apply(
        [&](auto*... n) {
          bool any = (!tangent_at(n).absent() || ...);
          if constexpr (requires { rule.is_tangent_source(); }) any = any || rule.is_tangent_source();  // a gate
          if (any) this->tangent = rule.pushforward(tangent_at(n)...);
        },
        inputs);
  }
  void pullback_tangent() override {
    const auto slot = [](auto* n) { return cotangent_slot<X>(n != nullptr ? &n->adjoint_tangent : nullptr); };
    const X& y_bar = this->adjoint.value;
    const X& dy_bar = this->adjoint_tangent.value;
    std::apply(
        [&](auto*... n) {
          const auto linear = [&] {
            if (!dy_bar.absent()) rule.pullback(dy_bar, slot(n)...);
          };
          if constexpr (requires { Rule::linear; }) {
            linear();
          } else {
            constexpr bool source = requires { rule.is_tangent_source(); };
            if (source || (!y_bar.absent() && (!tangent_at(n).absent() || ...)))
              rule.pullback_tangent(tangent_at(n)..., y_bar, dy_bar, slot(n)...);
            else
              linear();
          }
        },
        inputs);
  }
  void release() override {
    rule = Rule{};
    this->tangent = {};
    this->adjoint.value = {};
    this->adjoint_tangent.value = {};
  }
  [[nodiscard]] bool reads_parameters() const override {
    return std::ranges::any_of(inputs, [](const auto* n) { return n != nullptr && n->of_parameters; });
  }
  void pullback_into(bool parameters, cotangent<X> node<dual<X>>::*target, const X& y_bar, const batch_part* part) override {
    const auto slot = [&](auto* n) { return cotangent_slot<X>(n != nullptr && n->of_parameters == parameters ? &(n->*target) : nullptr); };
    const auto run = [&](const Rule& r) { std::apply([&](auto*... n) { r.pullback(y_bar, slot(n)...); }, inputs); };
    if (part == nullptr || part->whole()) return run(rule);
    Rule cut = rule;
    restrict(cut, *part);
    run(cut);
  }
  void restrict(const batch_part& part) override {
    restrict(rule, part);
    part.restrict(this->adjoint.value);
  }

 private:
  void restrict(Rule& r, const batch_part& part) const {
    if constexpr (requires { r.restrict(part); }) r.restrict(part);
    else if constexpr (requires { r.restrict(part, true); }) r.restrict(part, inputs[0] == nullptr || inputs[0]->of_parameters);
    else fail("an operation of this model has no `restrict` (autodiff/apply.hpp): add it, or set `joint` of the trainer to false");
  }
};

/// Nothing but parameters and absent values; a rule that indexes the batch makes rows of it.
template <class Rule, class... V>
bool made_of_parameters(const V&... inputs) {
  if constexpr (requires { Rule::indexes_batch; }) return false;
  else return ((inputs.value.absent() || (inputs.origin != nullptr && inputs.origin->of_parameters)) && ...);
}

}  // namespace detail

/// Forward over reverse.
template <class Rule, class X, std::same_as<var<dual<X>>>... Rest>
var<dual<X>> apply(Rule rule, const var<dual<X>>& first, const Rest&... rest) {
  X value = rule.forward(first.value, rest.value...);
  tape<dual<X>>* on = first.on;
  ((on = on != nullptr ? on : rest.on), ...);
  if (on == nullptr) return {std::move(value)};
  auto* made = on->template emplace<detail::replayable<X, Rule, 1 + sizeof...(Rest)>>(std::move(rule),
                                                                                   std::array{first.origin, rest.origin...});
  made->of_parameters = detail::made_of_parameters<Rule>(first, rest...);
  return {std::move(value), made, on};
}

}  // namespace expunge
