// The derivative oracle: compares all modes and orders of a function's derivatives with central differences.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "expunge/autodiff/elementwise.hpp"
#include "expunge/autodiff/transforms.hpp"
#include "expunge/core/random.hpp"

namespace expunge {

/// Largest relative errors, against the larger of the two norms compared.
struct derivative_errors {
  double jvp = 0;       // dual<X> against differences of the value
  double gradient = 0;  // var<X> against the same differences, by <seed, J t> = <J^T seed, t>
  double hvp = 0;       // var<dual<X>> against differences of the gradient
};

/// `f` is generic: from std::vector<V> to V for V = X, dual<X>, var<X> and var<dual<X>>. Checks along a random direction of
/// all inputs and along each input alone (the other tangents are then structural zeros). Use double; step about 1e-5.
template <class X, class F>
derivative_errors check_derivatives(const F& f, const std::vector<X>& inputs, std::uint64_t seed = 1, double step = 1e-5) {
  using T = typename X::value_type;
  philox generator(seed);
  const auto random_like = [&](const shape& extents) {
    std::vector<T> values(static_cast<std::size_t>(extents.size()));
    for (T& value : values) value = static_cast<T>(standard_normal(generator));
    return X(extents, values);
  };
  const X weight = random_like(f(inputs).extents());  // a fixed random functional makes every output count
  const auto functional = [&]<class V>(const std::vector<V>& x) { return f(x) * V{weight}; };
  // For the second order one that is not linear in y, so that a rule whose output is the function's is asked with a dy_bar.
  const auto curved = [&]<class V>(const std::vector<V>& x) {
    const V y = f(x), weighted = y * V{weight};
    return weighted + y * weighted;
  };
  const auto moved = [&](const std::vector<X>& direction, double by) {
    std::vector<X> at;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      at.push_back(clone(inputs[i]));
      if (!direction[i].absent()) axpy(at[i], static_cast<T>(by), direction[i]);
    }
    return at;
  };
  const auto difference = [](const X& a, const X& b, double scale) { return scale * (a - b); };
  const auto error = [&](const X& a, const X& b) {
    const double size = std::sqrt(std::max(inner_product(a, a), inner_product(b, b)));
    const X d = difference(a, b, 1);
    return std::sqrt(inner_product(d, d)) / std::max(size, 1e-3);
  };

  derivative_errors worst;
  const auto worsen = [](double& so_far, double e) { so_far = std::isnan(e) ? std::numeric_limits<double>::infinity() : std::max(so_far, e); };
  const std::vector<X> g = gradient<X>(functional, inputs);
  for (std::size_t only = 0; only <= inputs.size(); ++only) {
    std::vector<X> t;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      t.push_back(only == inputs.size() || only == i ? random_like(inputs[i].extents()) : X{});
    const X forward = jvp<X>(f, inputs, t).tangent;
    const X numeric = difference(f(moved(t, step)), f(moved(t, -step)), 0.5 / step);
    worsen(worst.jvp, error(forward.absent() ? zeros<X>(numeric.extents()) : forward, numeric));
    double reverse = 0;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (!t[i].absent() && !g[i].absent()) reverse += inner_product(g[i], t[i]);
    const double expected = inner_product(weight, numeric);
    worsen(worst.gradient, std::abs(reverse - expected) / std::max({std::abs(reverse), std::abs(expected), 1e-3}));
    const std::vector<X> h = hvp<X>(curved, inputs, t);
    const std::vector<X> up = gradient<X>(curved, moved(t, step)), down = gradient<X>(curved, moved(t, -step));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (up[i].absent()) continue;
      const X expected_h = difference(up[i], down[i], 0.5 / step);
      worsen(worst.hvp, error(h[i].absent() ? zeros<X>(expected_h.extents()) : h[i], expected_h));
    }
  }
  return worst;
}

}  // namespace expunge
