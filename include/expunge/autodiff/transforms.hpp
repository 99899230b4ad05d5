// Function transforms: gradient, Jacobian-vector product, Hessian-vector product of a function of tensors.
#pragma once

#include <vector>

#include "expunge/autodiff/second_order.hpp"

namespace expunge {

namespace detail {
template <class X>
void require_tangents(const std::vector<X>& inputs, const std::vector<X>& tangents) {
  require(tangents.size() == inputs.size(), tangents.size(), " tangents for ", inputs.size(), " inputs: an absent tensor stands for zero");
  for (std::size_t i = 0; i < inputs.size(); ++i)
    require(tangents[i].absent() || tangents[i].extents() == inputs[i].extents(), "tangent ", i, " has shape ", tangents[i].extents(),
            ", its input ", inputs[i].extents());
}
}  // namespace detail

/// The gradient of a scalar function (any output: of the sum of its elements) at `inputs`.
/// `f` takes a std::vector<var<X>> and returns a var<X>. An input it does not depend on has an absent gradient. Gradients that are equal may
/// share memory: clone() one before it is written.
template <class X, class F>
std::vector<X> gradient(const F& f, const std::vector<X>& inputs) {
  tape<X> recorded;
  std::vector<var<X>> leaves;
  for (const X& x : inputs) leaves.push_back(recorded.leaf(x));
  const var<X> y = f(leaves);
  X seed(y.value.extents());
  fill(seed, 1);
  recorded.pullback(y, seed);
  std::vector<X> out;
  for (const var<X>& leaf : leaves) out.push_back(gradient_of(leaf));
  return out;
}

/// Value and directional derivative of `f` (std::vector<dual<X>> -> dual<X>) along `tangents` (absent ones are zero). Throws expunge::error
/// where a tangent has not the shape of its input; hvp() too.
template <class X, class F>
dual<X> jvp(const F& f, const std::vector<X>& inputs, const std::vector<X>& tangents) {
  detail::require_tangents(inputs, tangents);
  std::vector<dual<X>> duals;
  for (std::size_t i = 0; i < inputs.size(); ++i) duals.push_back({inputs[i], tangents[i]});
  return f(duals);
}

/// The Hessian of the sum of f's elements, times `tangents`: forward over reverse. `f` takes a std::vector<var<dual<X>>>.
template <class X, class F>
std::vector<X> hvp(const F& f, const std::vector<X>& inputs, const std::vector<X>& tangents) {
  detail::require_tangents(inputs, tangents);
  tape<dual<X>> recorded;
  std::vector<var<dual<X>>> leaves;
  for (const X& x : inputs) leaves.push_back(recorded.leaf(x));
  const var<dual<X>> y = f(leaves);
  X seed(y.value.extents());
  fill(seed, 1);
  recorded.pullback(y, seed);
  for (std::size_t i = 0; i < inputs.size(); ++i) set_tangent(leaves[i], tangents[i]);
  recorded.pushforward();
  recorded.pullback_tangent(y, {});
  std::vector<X> out;
  for (const var<dual<X>>& leaf : leaves) out.push_back(gradient_tangent_of(leaf));
  return out;
}

}  // namespace expunge
