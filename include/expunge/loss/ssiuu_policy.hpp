// SSIUU (arXiv 2509.22263): a base loss plus a penalty on the growth of negative influence,
//   J(theta_t) = L(theta_t) + lambda * sum over i in I- of rho(A_t,i - A_ref,i),   I- = {i : batch-summed A_t,i < 0}.
// The policy and its settings; ssiuu.hpp has the run state beside them.
#pragma once

#include <span>

#include "expunge/attribution/recording.hpp"
#include "expunge/loss/base.hpp"

namespace expunge::loss {

enum class norm { squared, absolute };               // rho(d) = d^2 (Algorithm 1) or |d| (Eq. 3 for a scalar)
enum class reference { previous, example, original };  // the step before; the same example's last visit; the model at the start
enum class reduction { batch, example };             // rho of the batch's sum, or the sum of each example's rho

/// A is an attribution of P(y|x), the joint probability of all of an answer's tokens, and goes with P: of answers of tens of tokens next to nothing
/// is left of the penalty, where the NLL is 88 or more (in float; 708 in double) nothing, and the run is the base loss's. Attributions of log P
/// (A / P) do not vanish; they are larger, so that lambda is to be chosen anew.
struct ssiuu_settings {
  double lambda = 1e-3;                                        // weight of the penalty, >= 0
  loss::norm norm = loss::norm::squared;
  loss::reference reference = loss::reference::previous;       // per example: needs batches that share examples with the step before
  loss::reduction reduction = loss::reduction::batch;
  attribution::curvature curvature = attribution::curvature::first_order;
  attribution::measured measured = attribution::measured::probability;
};

template <nn::model M, class Base, attribution::attribution_policy Attribution>
class ssiuu_objective;

/// The policy. ssiuu{} is Algorithm 1 of the paper on gradient difference.
template <class Base = gradient_difference, attribution::attribution_policy Attribution = attribution::per_parameter>
struct ssiuu {
  Base base{};
  ssiuu_settings settings{};
  Attribution attribution{};

  /// `joint`: forget and retain examples in one pass where the model's batches are laid out by example and the features allow it.
  template <nn::model M>
  auto start(const M& model, std::span<const typename M::example_type> forget, bool joint = true) const {
    return ssiuu_objective<M, Base, Attribution>(*this, model, forget, joint);
  }
};

/// Exact, per neuron, batch sum, absolute value: what docs/results.md measures, with sites::ffn.
template <class Base = gradient_difference>
[[nodiscard]] ssiuu<Base, attribution::per_neuron> ssiuu_exact(double lambda, const Base& base = {},
                                                               attribution::sites which = attribution::sites::all) {
  return {base, {.lambda = lambda, .norm = norm::absolute, .curvature = attribution::curvature::exact}, {which}};
}

}  // namespace expunge::loss
