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

  /// Adds the sum of x.
  void add(place at, const X& x) {
    auto to = sum(at);
    add_map_sum(to, 1, functor::copy{}, x);
  }
  /// Adds the mean over examples of the mean NLL a token.
  void add_mean_nll(place at, const answers<X>& a) {
    auto to = sum(at);
    add_map_sum(to, 1 / static_cast<double>(a.nll.size()), functor::multiply{}, a.nll, a.inverse_lengths);
  }

  /// Where it gathers, [1].
  [[nodiscard]] device_sum<X> sum(place at) const { return sums_.slice(at, at + 1); }
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

/// A policy with run state of its own offers `start(model, forget_examples)`, or with a third argument `joint`, which returns an objective: a class
/// with `static constexpr bool needs_forget, needs_retain` (of which set it takes batches) and base_objective's call operator. A base loss need not.
template <class P, class M>
concept stateful_policy = requires(const P& policy, const M& model, std::span<const typename M::example_type> forget) {
  policy.start(model, forget);
} || requires(const P& policy, const M& model, std::span<const typename M::example_type> forget) { policy.start(model, forget, true); };

/// What the trainer accepts.
template <class P, class M>
concept loss_policy = stateful_policy<P, M> || forget_loss<P, typename M::value_type> || retain_loss<P, typename M::value_type>;

/// Gradients are one a parameter, some of them absent.
inline void check_gradients(std::size_t gradients, std::size_t parameters) {
  require(gradients == parameters, gradients, " gradients of ", parameters, " parameters: a step begins with an absent tensor for each");
}

/// Zeros for the gradients of parameters on which nothing depended.
template <class X>
void fill_absent(std::vector<X>& gradients, const std::vector<X>& parameters) {
  check_gradients(gradients.size(), parameters.size());
  for (std::size_t i = 0; i < gradients.size(); ++i)
    if (gradients[i].absent()) gradients[i] = zeros<X>(parameters[i].extents());
}

/// Examples of a step, as the model's make_batch takes them.
template <class M>
using example_list = std::vector<const typename M::example_type*>;

namespace detail {

/// Evaluates the base loss on the NLLs of a pass, of which the first `forget` are the forget examples'; returns the derivative by
/// each NLL.
template <class X, class Base>
X base_weights(const Base& base, const X& nll, const std::vector<index_t>& lengths, index_t forget, step_sums<X>& sums) {
  nn::check_sums_of_examples(nll.size(), lengths);
  require(forget >= 0 && forget <= nll.size(), "a pass over ", nll.size(), " examples, of which the first ", forget, " are to be forgotten");
  X weights(nll.extents());
  using place = typename step_sums<X>::place;
  const auto add = [&](index_t begin, index_t end, const auto& f, place value, place mean) {
    const answers<X> part = make_answers(nll.slice(begin, end), {lengths.begin() + begin, lengths.begin() + end});
    const term<X> t = differentiate(f, part);
    X to = weights.slice(begin, end);
    copy_into(to, t.weights);
    sums.add(value, t.value);
    sums.add_mean_nll(mean, part);
  };
  if constexpr (forget_loss<Base, X>)
    if (forget > 0) add(0, forget, [&](const auto& a) { return base.forget(a); }, sums.forget, sums.forget_nll);
  if constexpr (retain_loss<Base, X>)
    if (forget < nll.size()) add(forget, nll.size(), [&](const auto& a) { return base.retain(a); }, sums.retain, sums.retain_nll);
  return weights;
}

}  // namespace detail

/// The objective of a base loss: one pass over the forget and the retain examples, or one after the other where not `joint`.
template <nn::model M, class Base>
class base_objective {
 public:
  using X = typename M::value_type;
  static_assert(terms_as_meant<Base, X>,
                "loss: a term must be `template <class V> V forget(const loss::answers<V>&) const`, and retain likewise: const, and it returns V");
  static constexpr bool needs_forget = forget_loss<Base, X>;
  static constexpr bool needs_retain = retain_loss<Base, X>;

  explicit base_objective(const Base& base, bool joint = true) : base_(base), joint_(joint) {}

  /// Makes the `gradients` (absent at first; one that stays absent is zero) and adds what it measured to `out`. `forget_ids` are the
  /// examples' places in the forget set.
  void operator()(const M& model, std::span<const index_t> /*forget_ids*/, const example_list<M>& forget, const example_list<M>& retain,
                  std::vector<X>& gradients, step_sums<X>& out) {
    if constexpr (!needs_retain) {
      pass(model, forget, std::ssize(forget), gradients, out);
    } else if constexpr (!needs_forget) {
      pass(model, retain, 0, gradients, out);
    } else if (joint_) {
      example_list<M> all = forget;
      all.insert(all.end(), retain.begin(), retain.end());
      pass(model, all, std::ssize(forget), gradients, out);
    } else {
      pass(model, forget, std::ssize(forget), gradients, out);
      pass(model, retain, 0, gradients, out);
    }
  }

  /// Records the model on `examples`, of which the first `forget` are to be forgotten, and adds to the gradients or, where they are
  /// absent, makes them.
  void pass(const M& model, const example_list<M>& examples, index_t forget, std::vector<X>& gradients, step_sums<X>& out) {
    check_gradients(gradients.size(), nn::parameters(model).size());
    tape_.clear();
    std::vector<var<X>> leaves;
    const auto batch = nn::training_batch(model, examples, 0);
    const auto lifted = nn::lifted<var<X>>(model, [&](std::size_t i, const X& p) {
      leaves.push_back(tape_.leaf(p, gradients[i]));
      return leaves.back();
    });
    const var<X> nll = lifted.nll(batch, nn::no_observer{});
    tape_.pullback(nll, detail::base_weights(base_, nll.value, batch.lengths, forget, out));
    for (std::size_t i = 0; i < leaves.size(); ++i) gradients[i] = gradient_of(leaves[i]);
    tape_.clear();
    for (X& g : gradients)
      if (!g.absent() && !g.unique()) g = clone(g);  // parameters that are only added share a cotangent; the next pass adds in place
  }

 private:
  Base base_;
  bool joint_;
  tape<X> tape_;
};

/// The objective of any policy. `joint`: forget and retain examples in one pass where the policy can.
template <nn::model M, loss_policy<M> Policy>
auto start(const Policy& policy, const M& model, std::span<const typename M::example_type> forget, bool joint = true) {
  static_assert(stateful_policy<Policy, M> || !detail::has_start<Policy>,
                "loss: `start(model, forget)` must be const and take `const M&` and `std::span<const M::example_type>`, and `bool joint` if it likes");
  if constexpr (requires { policy.start(model, forget, joint); }) return policy.start(model, forget, joint);
  else if constexpr (stateful_policy<Policy, M>) return policy.start(model, forget);
  else return base_objective<M, Policy>(policy, joint);
}

}  // namespace expunge::loss
