// From a loss policy to the gradient of a step. An objective is the run state of a policy: it lives as long as a training run.
#pragma once

#include <span>
#include <vector>

#include "expunge/loss/base.hpp"
#include "expunge/nn/model_concept.hpp"

namespace expunge::loss {

/// What a step measured, before the update.
struct step_terms {
  double forget = 0;      // the base loss's forget term
  double retain = 0;      // and its retain term
  double penalty = 0;     // lambda included
  double forget_nll = 0;  // mean over examples of the mean NLL a token
  double retain_nll = 0;
};

/// A policy with run state of its own offers `start(model, forget_examples)`, which returns an objective; a base loss need not.
template <class P, class M>
concept stateful_policy = requires(const P& policy, const M& model, std::span<const typename M::example_type> forget) {
  policy.start(model, forget);
};

/// What the trainer accepts.
template <class P, class M>
concept loss_policy = stateful_policy<P, M> || forget_loss<P, typename M::value_type> || retain_loss<P, typename M::value_type>;

namespace detail {

template <class X>
double mean_nll(const X& nll, const std::vector<index_t>& lengths) {
  const auto sums = nll.to_vector();
  double total = 0;
  for (std::size_t i = 0; i < sums.size(); ++i) total += static_cast<double>(sums[i]) / static_cast<double>(lengths[i]);
  return total / static_cast<double>(sums.size());
}

/// Records the model on a first-order tape and accumulates the gradient of f(answers) into `gradients`.
template <class M, class F>
double accumulate(const M& model, const typename M::batch_type& batch, const F& f, const std::vector<typename M::value_type>& gradients,
                  tape<typename M::value_type>& on, double& nll_out) {
  using X = typename M::value_type;
  on.clear();
  const auto lifted = nn::lifted<var<X>>(model, [&](std::size_t i, const X& p) { return on.leaf(p, gradients[i]); });
  const var<X> nll = lifted.nll(batch, nn::no_observer{});
  nll_out = mean_nll(nll.value, batch.lengths);
  const term<X> t = differentiate(f, nll.value, batch.lengths);
  on.pullback(nll, t.weights);
  on.clear();
  return t.value;
}

}  // namespace detail

/// The objective of a base loss.
template <nn::model M, class Base>
class base_objective {
 public:
  using X = typename M::value_type;
  static constexpr bool needs_forget = forget_loss<Base, X>;
  static constexpr bool needs_retain = retain_loss<Base, X>;

  explicit base_objective(const Base& base) : base_(base) {}

  /// Accumulates the gradient into `gradients`. `forget_ids` are the examples' places in the forget set.
  step_terms operator()(const M& model, std::span<const index_t> /*forget_ids*/, const typename M::batch_type* forget,
                        const typename M::batch_type* retain, const std::vector<X>& gradients) {
    step_terms out;
    if constexpr (needs_forget)
      out.forget = detail::accumulate(model, *forget, [&](const auto& a) { return base_.forget(a); }, gradients, tape_, out.forget_nll);
    add_retain(model, retain, gradients, out);
    return out;
  }

  void add_retain(const M& model, const typename M::batch_type* retain, const std::vector<X>& gradients, step_terms& out) {
    if constexpr (needs_retain)
      out.retain = detail::accumulate(model, *retain, [&](const auto& a) { return base_.retain(a); }, gradients, tape_, out.retain_nll);
  }

 private:
  Base base_;
  tape<X> tape_;
};

/// The objective of any policy.
template <nn::model M, loss_policy<M> Policy>
auto start(const Policy& policy, const M& model, std::span<const typename M::example_type> forget) {
  if constexpr (stateful_policy<Policy, M>) return policy.start(model, forget);
  else return base_objective<M, Policy>(policy);
}

}  // namespace expunge::loss
