// Activation checkpointing (Chen et al. 2016): a module's inner values are not kept but computed again when the sweep comes to it.
#pragma once

#include <utility>

#include "expunge/autodiff/apply.hpp"
#include "expunge/nn/parameter_tree.hpp"

namespace expunge::nn {

namespace detail {

template <class X, class Module, class Run>
struct checkpoint_node final : node<X> {
  Module module;  // over var<X>, its parameters on the outer tape
  Run run;
  X x;
  node<X>* input;

  checkpoint_node(Module m, Run r, X value, node<X>* origin) : module(std::move(m)), run(std::move(r)), x(std::move(value)), input(origin) {}

  void pullback() override {
    expunge::detail::require_not_swept(x.absent());
    tape<X> again;
    Module inside = module;
    for_each_parameter(
        [&](const name_path&, const var<X>& outer, var<X>& inner) {
          inner = again.leaf(outer.value);
          if (outer.origin != nullptr) inner.origin->adjoint = std::move(outer.origin->adjoint);  // what was gathered already
          else inner.origin->adjoint.wanted = false;
        },
        std::as_const(module), inside);
    const var<X> in = again.leaf(x);
    again.pullback(run(inside, in), this->adjoint.value);
    for_each_parameter(
        [&](const name_path&, const var<X>& outer, const var<X>& inner) {
          if (outer.origin != nullptr) outer.origin->adjoint = std::move(inner.origin->adjoint);
        },
        std::as_const(module), std::as_const(inside));
    cotangent_slot<X>(input != nullptr ? &input->adjoint : nullptr).add(gradient_of(in));
  }
  void release() override {
    x = {};
    this->adjoint.value = {};
  }
};

}  // namespace detail

/// run(module, x) for a module that is a parameter tree over var<X> and a generic `run`, recorded as one operation that keeps x alone:
/// its pullback runs the module again. Costs one more forward pass of it; saves all that the module would have kept.
/// `run` is kept until the sweep: let it capture by value.
template <class X, template <class> class Module, class Run>
var<X> checkpointed(const Module<var<X>>& module, const Run& run, const var<X>& x) {
  tape<X>* on = x.on;
  Module<var<X>> plain = module;  // with constants for parameters, so that nothing is recorded
  for_each_parameter(
      [&](const name_path&, var<X>& p) {
        if (p.on != nullptr) on = p.on;
        p = var<X>(p.value);
      },
      plain);
  X y = run(plain, var<X>(x.value)).value;
  if (on == nullptr) return {std::move(y)};
  auto* made = on->template emplace<detail::checkpoint_node<X, Module<var<X>>, Run>>(module, run, x.value, x.origin);
  return {std::move(y), made, on};
}

}  // namespace expunge::nn
