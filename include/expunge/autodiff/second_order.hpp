// Forward-over-reverse: a tape whose recording can be replayed with tangents. Exact Hessian-vector products without a graph
// of a graph, and with the primal activations and cotangents of the first sweep reused.
//
//   record f on tape<dual<X>>; pullback(y, seed)   first sweep: primal cotangents, kept
//   set_tangent(leaf or gate, direction); pushforward()   tangents of all recorded values; absent ones stay absent
//   pullback_tangent(y, dseed)                     second sweep: the derivative of every cotangent along the direction
#pragma once

#include <array>
#include <cstddef>
#include <tuple>
#include <utility>

#include "expunge/autodiff/apply.hpp"

namespace expunge {

template <class T, class S>
struct node<dual<tensor<T, S>>> {
  using X = tensor<T, S>;
  X tangent{};
  cotangent<X> adjoint;
  cotangent<X> adjoint_tangent;

  node() = default;
  node(const node&) = delete;
  node& operator=(const node&) = delete;
  virtual ~node() = default;
  virtual void pullback() {}
  virtual void pushforward() {}
  virtual void pullback_tangent() {}
  virtual void release() {}
};

/// A value recorded so that its tangent can be asked for later.
template <class T, class S>
struct var<dual<tensor<T, S>>> {
  using X = tensor<T, S>;
  X value{};
  node<dual<X>>* origin = nullptr;
  tape<dual<X>>* on = nullptr;

  var() = default;
  explicit(false) var(X constant) : value(std::move(constant)) {}
  var(X v, node<dual<X>>* n, tape<dual<X>>* t) : value(std::move(v)), origin(n), on(t) {}
};

template <class T, class S>
class tape<dual<tensor<T, S>>> : public detail::node_list<dual<tensor<T, S>>> {
 public:
  using X = tensor<T, S>;

  /// A tracked input; its second-order cotangent is accumulated into `gradient` in place where that is given.
  var<dual<X>> leaf(const X& value, const X& gradient = {}) {
    auto* made = this->template emplace<node<dual<X>>>();
    made->adjoint_tangent = {gradient, !gradient.absent(), true};
    leaves_.push_back(made);
    return {value, made, this};
  }

  void clear() {
    detail::node_list<dual<X>>::clear();
    leaves_.clear();
  }

  /// First sweep. With `leaves` false only what lies between the leaves and the output gets cotangents.
  void pullback(const var<dual<X>>& output, const X& seed, bool leaves = true) {
    check(output, seed);
    for (node<dual<X>>* n : leaves_) n->adjoint.wanted = leaves;
    cotangent_slot<X>(&output.origin->adjoint).add(seed);
    for (std::size_t i = this->nodes_.size(); i > 0; --i)
      if (node<dual<X>>& n = *this->nodes_[i - 1]; !n.adjoint.value.absent()) n.pullback();
  }

  /// Computes the tangents that follow from those set (set_tangent, or within a rule).
  void pushforward() {
    for (node<dual<X>>* n : this->nodes_) n->pushforward();
  }

  /// Second sweep, after pullback(): adds to the second-order cotangents the derivative of the first sweep along the tangents,
  /// where the seed's own derivative is `seed_tangent`. Without pushforward() it is a plain sweep with that seed.
  /// Frees what the recording saved.
  void pullback_tangent(const var<dual<X>>& output, const X& seed_tangent) {
    check(output, seed_tangent);
    cotangent_slot<X>(&output.origin->adjoint_tangent).add(seed_tangent);
    for (std::size_t i = this->nodes_.size(); i > 0; --i) {
      node<dual<X>>& n = *this->nodes_[i - 1];
      if (!n.adjoint.value.absent() || !n.adjoint_tangent.value.absent()) n.pullback_tangent();
      n.release();
    }
  }

 private:
  void check(const var<dual<X>>& output, const X& seed) const {
    require(output.origin != nullptr && output.on == this, "pullback: the output was not recorded on this tape");
    require(seed.size() == output.value.size(), "pullback: seed of shape ", seed.extents(), " for an output of shape ",
            output.value.extents());
  }

  std::vector<node<dual<X>>*> leaves_;
};

template <class X>
void set_tangent(const var<dual<X>>& x, const X& tangent) {
  require(x.origin != nullptr, "set_tangent: the variable is a constant");
  require(tangent.absent() || tangent.size() == x.value.size(), "set_tangent: shape ", tangent.extents(), " for ",
          x.value.extents());
  x.origin->tangent = tangent;
}
template <class X>
const X& tangent_of(const var<dual<X>>& x) {
  return x.origin->tangent;
}
/// The cotangent of the first sweep.
template <class X>
const X& gradient_of(const var<dual<X>>& x) {
  return x.origin->adjoint.value;
}
/// The derivative of the cotangent along the tangents: for a leaf, a Hessian-vector product.
template <class X>
const X& gradient_tangent_of(const var<dual<X>>& x) {
  return x.origin->adjoint_tangent.value;
}

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
};

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
  return {std::move(value), made, on};
}

}  // namespace expunge
