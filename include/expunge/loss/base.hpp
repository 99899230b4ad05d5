// Base losses: functions of the examples' negative log-likelihoods. GA and GD; a user's own is one more such struct.
#pragma once

#include <concepts>
#include <type_traits>
#include <vector>

#include "expunge/autodiff/elementwise.hpp"
#include "expunge/autodiff/rows.hpp"

namespace expunge::loss {

/// The answers of a batch as a loss sees them.
template <class V>
struct answers {
  V nll;                             // [examples], summed over the answer's tokens: S
  tensor_of<V> inverse_lengths;      // [examples], 1 / |y|

  /// Mean negative log-likelihood a token, [examples]: S / |y|.
  [[nodiscard]] V nll_per_token() const { return nll * V(inverse_lengths); }
};

/// A base loss has a forget term and may have a retain term; the loss is their sum. Each is a template over the value type
/// of the NLLs, so that it can be differentiated: it uses + - * of values and numbers, values / numbers, mean, sum, and functions of one
/// variable (autodiff/elementwise.hpp, autodiff/rows.hpp). Terms keep no state: copies of the loss are called in no particular order (a policy with
/// state has `start`, loss/objective.hpp).
template <class L, class X>
concept forget_loss = requires(const L& loss, const answers<var<X>>& a) {
  { loss.forget(a) } -> std::same_as<var<X>>;  // one element, shape [1, 1]; use mean() or sum()
};
template <class L, class X>
concept retain_loss = requires(const L& loss, const answers<var<X>>& a) {
  { loss.retain(a) } -> std::same_as<var<X>>;  // without it no retain batch is run
};

namespace detail {
/// Whether L has a function of a name, whatever its arguments: with another member beside it the name is ambiguous. A setting may be called so.
template <class L, class Named>
struct with_another : L, Named {};
struct names_forget { int forget; };
struct names_retain { int retain; };
struct names_start { int start; };
template <class Pointer>
concept to_setting = std::is_member_object_pointer_v<Pointer>;
template <class L>
concept has_forget = !std::is_final_v<L> && !requires { &with_another<L, names_forget>::forget; } && !requires { requires to_setting<decltype(&L::forget)>; };
template <class L>
concept has_retain = !std::is_final_v<L> && !requires { &with_another<L, names_retain>::retain; } && !requires { requires to_setting<decltype(&L::retain)>; };
template <class L>
concept has_start = !std::is_final_v<L> && !requires { &with_another<L, names_start>::start; } && !requires { requires to_setting<decltype(&L::start)>; };
}  // namespace detail

/// A term is as the concepts want it, or not there: one without `const`, of other arguments, or that returns something else, would be left
/// out in silence.
template <class L, class X>
concept terms_as_meant = (forget_loss<L, X> || !detail::has_forget<L>) && (retain_loss<L, X> || !detail::has_retain<L>);

/// GA: maximise the NLL of the forget answers (mean over tokens, then examples).
struct gradient_ascent {
  template <class V>
  V forget(const answers<V>& a) const {
    return -mean(a.nll_per_token());
  }
};

/// GD (GradDiff): gradient ascent on the forget batch, descent on the retain batch.
struct gradient_difference {
  double retain_weight = 1;

  template <class V>
  V forget(const answers<V>& a) const {
    return gradient_ascent{}.forget(a);
  }
  template <class V>
  V retain(const answers<V>& a) const {
    return retain_weight * mean(a.nll_per_token());
  }
};

/// Plain training on the retain batch alone: what a model is fitted with, and what retraining attacks do.
struct fine_tuning {
  template <class V>
  V retain(const answers<V>& a) const {
    return mean(a.nll_per_token());
  }
};

/// The answers of a batch with so many labels each.
template <class X>
answers<X> make_answers(const X& nll, const std::vector<index_t>& lengths) {
  using T = typename X::value_type;
  std::vector<T> inverse;
  for (const index_t n : lengths) inverse.push_back(T(1) / static_cast<T>(n));
  return {nll, X(nll.extents(), inverse)};
}

/// A term's value, one element, and its derivative by each example's NLL, [examples].
template <class X>
struct term {
  X value{};
  X weights{};
};

/// Evaluates f(answers<var<X>>) and differentiates it by the NLLs.
template <class X, class F>
term<X> differentiate(const F& f, const answers<X>& of) {
  const X& nll = of.nll;
  tape<X> recorded;
  const answers<var<X>> a{recorded.leaf(nll), of.inverse_lengths};
  const var<X> y = f(a);
  require(y.value.size() == 1, "a loss term has shape ", y.value.extents(), ", expected one element: use mean() or sum()");
  X one(y.value.extents());
  fill(one, 1);
  term<X> out{y.value, zeros<X>(nll.extents())};
  if (y.origin != nullptr) {
    recorded.pullback(y, one);
    if (const X& g = gradient_of(a.nll); !g.absent()) out.weights = g;
  }
  return out;
}

}  // namespace expunge::loss
