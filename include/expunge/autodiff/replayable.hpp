// The nodes of forward-over-reverse: an operation's rule, asked for its pullback, its tangent and its pullback's tangent (second_order.hpp).
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <tuple>
#include <utility>

#include "expunge/autodiff/second_order_tape.hpp"

namespace expunge::detail {

template <class X, class Rule, std::size_t N>
struct replayable : node<dual<X>> {
  using input = node<dual<X>>;
  static constexpr bool linear = requires { requires Rule::linear; };
  static constexpr bool gate = requires(const Rule& r) { r.is_tangent_source(); };

  static_assert(std::default_initializable<Rule> && std::copyable<Rule>, "a rule must be default-constructible and copyable (autodiff/apply.hpp)");
  Rule rule;
  std::array<input*, N> inputs;

  replayable(Rule&& r, std::array<input*, N> in) : rule(std::move(r)), inputs(in) {
    for (input* n : inputs)
      if (n != nullptr) ++n->readers;
    this->adjoint.for_products = this->adjoint_tangent.for_products = operand_cotangents<Rule> >= 2;
  }

  void pullback() override { run(rule, this->adjoint.value, &input::adjoint, [](const input*) { return true; }); }

  void pushforward() override {
    std::apply(
        [&](auto*... n) {
          bool any = (!tangent_at(n).absent() || ...);
          if constexpr (gate) any = any || rule.is_tangent_source();
          // A gate changes in place what nobody else reads.
          const auto given = [](input* at) { return gate && at != nullptr && at->readers == 1 ? std::exchange(at->tangent, {}) : tangent_at(at); };
          if (any) require_fits("pushforward", this->tangent = rule.pushforward(given(n)...), this->size);
        },
        inputs);
    if constexpr (linear || gate)  // the second sweep does not ask for their inputs' tangents
      for (input* n : inputs)
        if (n != nullptr && --n->readers == 0) n->tangent = {};
  }

  void pullback_tangent() override { run_tangent(std::exchange(this->adjoint_tangent.value, {}), [](const input*) { return true; }); }

  void release() override {
    rule = Rule{};
    this->tangent = {};
    this->adjoint.value = {};
    this->adjoint_tangent.value = {};
  }
  [[nodiscard]] bool reads_parameters() const override {
    return std::ranges::any_of(inputs, [](const input* n) { return n != nullptr && n->of_parameters; });
  }
  void pullback_into(bool parameters, cotangent<X> input::*target, const X& y_bar, const batch_part* part) override {
    const auto chosen = [&](const input* n) { return n->of_parameters == parameters; };
    if (part == nullptr || part->whole()) return run(rule, y_bar, target, chosen);
    Rule cut = rule;
    restrict(cut, *part);
    run(cut, y_bar, target, chosen);
  }
  void restrict(const batch_part& part) override {
    restrict(rule, part);
    if constexpr (linear) this->adjoint.value = {};  // nor for their cotangents
    else part.restrict(this->adjoint.value);
    this->size = this->adjoint.value.absent() ? -1 : this->adjoint.value.size();
  }

 protected:
  static const X& tangent_at(const input* n) {
    static const X zero{};
    return n != nullptr ? n->tangent : zero;
  }
  template <class Chosen>
  static cotangent_slot<X> slot(input* n, cotangent<X> input::*target, const Chosen& chosen) {
    return cotangent_slot<X>(n != nullptr && chosen(n) ? &(n->*target) : nullptr);
  }
  /// What `r` pulls back of y_bar, for the chosen inputs.
  template <class Chosen>
  void run(const Rule& r, const X& y_bar, cotangent<X> input::*target, const Chosen& chosen) {
    std::apply([&](auto*... n) { r.pullback(y_bar, slot(n, target, chosen)...); }, inputs);
    require_fit("pullback", target);
  }
  /// The derivative of that where y_bar's is dy_bar.
  template <class Chosen>
  void run_tangent(X dy_bar, const Chosen& chosen) {
    if constexpr (!linear)
      if (const X& y_bar = this->adjoint.value; gate || (!y_bar.absent() && std::ranges::any_of(inputs, [](const input* n) { return !tangent_at(n).absent(); }))) {
        std::apply([&](auto*... n) { rule.pullback_tangent(tangent_at(n)..., y_bar, std::move(dy_bar), slot(n, &input::adjoint_tangent, chosen)...); }, inputs);
        return require_fit("pullback_tangent", &input::adjoint_tangent);
      }
    if (!dy_bar.absent()) run(rule, dy_bar, &input::adjoint_tangent, chosen);
  }

 private:
  void require_fit(const char* function, cotangent<X> input::*target) const {
    for (const input* n : inputs)
      if (n != nullptr) require_fits(function, (n->*target).value, n->size);
  }
  void restrict(Rule& r, const batch_part& part) const {
    if constexpr (requires { r.restrict(part); }) r.restrict(part);
    else if constexpr (requires { r.restrict(part, true); }) r.restrict(part, inputs[0] == nullptr || inputs[0]->of_parameters);
    else fail("an operation of this model has no `restrict` (autodiff/apply.hpp): add it, or set `joint` of the trainer to false");
  }
};

/// For a rule whose parameters' cotangents are products over rows: those of all rows are one product, in the second sweep.
template <class X, class Rule, std::size_t N>
struct postponing final : replayable<X, Rule, N> {
  using input = node<dual<X>>;
  using replayable<X, Rule, N>::replayable;
  Rule whole{};   // the rule with all rows
  X whole_bar{};  // and their cotangent of the first sweep

  [[nodiscard]] read_by cotangent_readers() const override {
    if constexpr (requires { this->rule.weight_takes_operand(); }) {
      for (std::size_t i = 0; i < N; ++i)
        if (i != Rule::weight_input && this->inputs[i] != nullptr && this->inputs[i]->of_parameters) return read_by::anyone;
      if (this->rule.weight_takes_operand()) return read_by::products;
    }
    return read_by::anyone;
  }
  void pullback_into(bool parameters, cotangent<X> input::*target, const X& y_bar, const batch_part* part) override {
    require(this->inputs[Rule::weight_input] == nullptr || this->inputs[Rule::weight_input]->of_parameters,
            "a weight is made of parameters and of constants that the operations on them take for rows of the batch: leave `row_counts` out of the "
            "model's batch, set `joint` of the trainer to false, or say `elementwise` in a rule that is (autodiff/apply.hpp)");
    replayable<X, Rule, N>::pullback_into(parameters, target, y_bar, part);
  }
  bool postpone() override {
    whole = this->rule;
    whole_bar = this->adjoint.value;
    return true;
  }
  void pullback_tangent() override {
    if (whole_bar.absent()) return replayable<X, Rule, N>::pullback_tangent();
    const auto parameters = [](const input* n) { return n->of_parameters; };
    const X& dy_bar = this->adjoint_tangent.value;
    this->run_tangent(dy_bar, [&](const input* n) { return !parameters(n); });
    this->run_tangent({}, parameters);
    const index_t kept = this->adjoint.value.rows();
    this->adjoint.value = {};
    put_first(dy_bar, kept);
    this->run(whole, whole_bar, &input::adjoint_tangent, parameters);
  }
  void release() override {
    replayable<X, Rule, N>::release();
    whole = Rule{};
    whole_bar = {};
  }

 private:
  /// Replaces the first `count` rows of whole_bar.
  void put_first(const X& rows, index_t count) {
    if constexpr (converting_storage<typename X::storage_type>)
      if (cotangent_readers() == read_by::products && !rows.absent()) {
        whole_bar = stacked_for_products(rows, whole_bar.slice(count, whole_bar.rows()));
        return;
      }
    if (!whole_bar.unique()) whole_bar = clone(whole_bar);
    X own = whole_bar.slice(0, count);
    rows.absent() ? fill(own, 0) : copy_into(own, rows);
  }
};

}  // namespace expunge::detail
