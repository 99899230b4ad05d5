// From a loss policy to the gradient of a step. An objective is the run state of a policy: it lives as long as a training run.
#pragma once

#include <array>
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

/// The same and the gradient's squared norm, while they gather on X's device: nothing waits for it until values().
template <class X>
class step_sums {
 public:
  enum place : index_t { forget, retain, penalty, forget_nll, retain_nll, squared_norm, places };

  /// Adds factor * the inner product of a and b, or the sum of a where b is absent.
  void add(place at, const X& a, const X& b = {}, double factor = 1) {
    auto sum = sums_.slice(at, at + 1);
    add_inner_product(sum, a, b, factor);
  }
  /// Adds the mean over examples of the mean NLL a token.
  void add_mean_nll(place at, const answers<X>& a) { add(at, a.nll, a.inverse_lengths, 1 / static_cast<double>(a.nll.size())); }

  [[nodiscard]] std::array<double, places> values() const {
    std::array<double, places> out{};
    sums_.download(out);
    return out;
  }
  [[nodiscard]] static step_terms terms(const std::array<double, places>& v) {
    return {v[forget], v[retain], v[penalty], v[forget_nll], v[retain_nll]};
  }

 private:
  device_sum<X> sums_ = zeros<device_sum<X>>(shape{places});
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

/// Records the model on a first-order tape and accumulates the gradient of f(answers) into `gradients`, its value and the mean NLL
/// into `sums`.
template <class M, class F, class X = typename M::value_type>
void accumulate(const M& model, const typename M::batch_type& batch, const F& f, const std::vector<X>& gradients, tape<X>& on,
                step_sums<X>& sums, typename step_sums<X>::place value, typename step_sums<X>::place mean_nll) {
  on.clear();
  const auto lifted = nn::lifted<var<X>>(model, [&](std::size_t i, const X& p) { return on.leaf(p, gradients[i]); });
  const var<X> nll = lifted.nll(batch, nn::no_observer{});
  const answers<X> a = make_answers(nll.value, batch.lengths);
  const term<X> t = differentiate(f, a);
  sums.add_mean_nll(mean_nll, a);
  sums.add(value, t.value);
  on.pullback(nll, t.weights);
  on.clear();
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

  /// Accumulates the gradient into `gradients` and what it measured into `sums`. `forget_ids` are the examples' places in the forget set.
  void operator()(const M& model, std::span<const index_t> /*forget_ids*/, const typename M::batch_type* forget,
                  const typename M::batch_type* retain, const std::vector<X>& gradients, step_sums<X>& sums) {
    if constexpr (needs_forget)
      detail::accumulate(model, *forget, [&](const auto& a) { return base_.forget(a); }, gradients, tape_, sums, sums.forget, sums.forget_nll);
    add_retain(model, retain, gradients, sums);
  }

  void add_retain(const M& model, const typename M::batch_type* retain, const std::vector<X>& gradients, step_sums<X>& sums) {
    if constexpr (needs_retain)
      detail::accumulate(model, *retain, [&](const auto& a) { return base_.retain(a); }, gradients, tape_, sums, sums.retain, sums.retain_nll);
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
