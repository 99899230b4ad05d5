// One pass, recorded so that attributions can be read from it and differentiated: the engine under SSIUU.
//
//   record     forward, F
//   attribute  first sweep with seeds dP/dS = -P of P = exp(-S): attributions of the joint probability P(y|x); of log P = -S the seeds are -1
//   finish     [exact: tangents v enter, forward again with tangents] and a second sweep, which gives in one go
//              d/dtheta of  sum_b w_b S_b + sum v A  (v, w constant)
//
// A joint recording holds the retain examples behind the forget examples, so that each weight is read once for both. The first
// sweep then gives the retain examples' cotangents too (their seeds are w), after which all is cut down to the forget examples; the
// retain examples' weight gradients are one product with those of the second sweep.
// First order per parameter needs no second sweep where examples have rows of their own: the cotangents of an example's rows for any seed
// are those for seed 1 times the seed, so one sweep with seeds 1 and two products a weight, of rows weighted by w and by -P, give both
// gradients.
#pragma once

#include <array>
#include <concepts>
#include <utility>
#include <vector>

#include "expunge/attribution/functor.hpp"
#include "expunge/attribution/gate.hpp"
#include "expunge/nn/model_concept.hpp"

namespace expunge::attribution {

/// exact keeps the Hessian; first_order holds the gradient inside an attribution constant, as the paper does.
enum class curvature { first_order, exact };

/// Features are the scalars of every parameter: A_i = phi_i dP/dphi_i (Algorithm 1). One value for the whole batch.
struct per_parameter {};

/// Features are the neurons at the chosen sites: A_{b,i} = sum over tokens of h_i dP_b/dh_i. One value an example.
struct per_neuron {
  sites which = sites::all;
};

template <class A>
concept attribution_policy = std::same_as<A, per_parameter> || std::same_as<A, per_neuron>;

template <nn::model M, attribution_policy Policy>
class recording {
 public:
  using X = typename M::value_type;
  using V = var<dual<X>>;

  explicit recording(const Policy& policy, curvature order = curvature::exact, measured what = measured::probability)
      : order_(order), of_probability_(what == measured::probability) {
    if constexpr (neurons) gates_.which = policy.which;
  }

  /// Runs the model on a batch of forget examples. The sweeps will add to `gradients` (one tensor a parameter, or absent).
  /// Returns the summed NLL of each example, S [examples].
  const X& record(const M& model, const typename M::batch_type& batch, const std::vector<X>& gradients) {
    rows_.clear(), keys_.clear();
    if constexpr (requires { batch.key_counts; })
      require(!neurons || batch.key_counts.empty(), "recording: attributions of each example need rows of its own (make_batch), and this batch's examples share rows");
    return run(model, batch, batch.examples(), gradients);
  }

  /// The same for a joint batch, whose first `forget` examples are to be forgotten.
  const X& record_joint(const M& model, const typename M::batch_type& batch, index_t forget)
    requires nn::row_structured<typename M::batch_type>
  {
    require(std::ssize(batch.row_counts) == batch.examples(), "the batch has ", batch.row_counts.size(), " `row_counts` for ", batch.examples(),
            " examples: fill in the rows of each, or leave the member out");
    rows_ = batch.row_counts;
    if constexpr (requires { batch.key_counts, batch.apart; }) {
      keys_ = batch.key_counts;
      require(keys_.empty() || batch.apart == forget || forget == batch.examples(), "recording: of a batch whose examples share rows the first ", batch.apart,
              " do among themselves, and ", forget, " are to be forgotten: make it for these (nn::training_batch)");
    }
    return run(model, batch, forget, {});
  }

  /// The first sweep, after which feature(0 .. features()) can be read. `weights` [examples]: the derivative of the base loss by S.
  void attribute(const X& weights) {
    const index_t all = nll_.value.size();
    const X forget_nll = nll_.value.slice(0, forget_);
    if (of_probability_) probability_ = mapped(functor::joint_probability{}, forget_nll);
    weights_ = weights.slice(0, forget_);
    X seed(nll_.value.extents()), forget_seed = seed.slice(0, forget_), retain_seed = seed.slice(forget_, all);
    if (of_probability_) map_in_place(functor::assign{functor::negate{}}, forget_seed, std::as_const(probability_));
    else fill(forget_seed, -1);
    if (forget_ < all) copy_into(retain_seed, weights.slice(forget_, all));
    if (rows_.empty()) return tape_.pullback(nll_, seed, !neurons);
    const batch_part forget(rows_, labels_, 0, forget_, keys_), retain(rows_, labels_, forget_, all, keys_), whole(rows_, labels_, 0, all, keys_);
    constexpr auto first = &node<dual<X>>::adjoint, second = &node<dual<X>>::adjoint_tangent;
    if (one_sweep()) {
      X slopes = zeros<X>(seed.extents()), of_forget = slopes.slice(0, forget_);
      copy_into(of_forget, forget_seed);
      fill(seed, 1);
      const std::array shares{gradient_share<X>{whole, {weights, rows_, labels_}, second}, gradient_share<X>{forget, {slopes, rows_, labels_}, first}};
      tape_.pullback(nll_, seed, shares);
    } else {
      std::vector<gradient_share<X>> shares;
      if (!neurons) shares.push_back({forget, {}, first});
      tape_.pullback(nll_, seed, shares, &forget, forget_ < all ? &retain : nullptr);
      nll_.value = forget_nll;
    }
  }

  [[nodiscard]] std::size_t features() const {
    if constexpr (neurons) return gates_.gates.size();
    else return leaves_.size();
  }

  /// Attributions of a site, [forget examples, neurons], or of a parameter, its shape. One at a time: a parameter's are computed here. Where
  /// examples share rows, those of a site are of ranges of rows, and only their sum is one of examples.
  [[nodiscard]] X feature(std::size_t f) const {
    if constexpr (neurons) {
      gates_.gates[f].check_reached();
      return gates_.gates[f].sum;
    }
    else return product(leaves_[f].value, gradient_of(leaves_[f]));
  }

  /// Adds sum v A_f to what finish() differentiates; v has the shape of feature(f) and is constant; for neurons one
  /// row for all examples will do. Once a feature, which is gone then.
  void weigh(std::size_t f, const X& v) {
    with_tangents_ = order_ == curvature::exact;
    if constexpr (neurons) {
      require(keys_.empty() || v.rows() == 1, "recording: examples of this batch share rows, so that all have the same weights: give one row");
      gates_.gates[f].tangent = v;
      gates_.gates[f].sum = {};
    } else {
      if (with_tangents_) set_tangent(leaves_[f], product(v, leaves_[f].value));
      if (const X& g = gradient_of(leaves_[f]); !g.absent())  // the share of A = phi g that phi itself carries
        cotangent_slot<X>(&leaves_[f].origin->adjoint_tangent).add_mapped(functor::multiply{}, v, g);
    }
  }

  /// weigh() for all parameters in one sweep over memory: `penalty` is a functor like functor::parameter_penalty, which overwrites the
  /// `references`, one a parameter, and whose values, times `factor`, are added up in `sum`.
  template <class F>
  void weigh_by(const F& penalty, std::vector<X>& references, device_sum<X> sum, double factor) {
    static_assert(!neurons, "recording: weigh_by is for parameters");
    with_tangents_ = order_ == curvature::exact;
    std::vector<X> phi, g, gradients, tangents;
    for (const V& leaf : leaves_) {
      node<dual<X>>& of = *leaf.origin;
      const shape& extents = leaf.value.extents();
      for (X* gradient : {&of.adjoint.value, &of.adjoint_tangent.value})
        if (gradient->absent()) *gradient = zeros<X>(extents);
      phi.push_back(leaf.value);
      g.push_back(of.adjoint.value);
      gradients.push_back(of.adjoint_tangent.value);
      if (with_tangents_) tangents.push_back(of.tangent = X(extents));
    }
    if (with_tangents_) add_map_sum_each(sum, factor, penalty, references, gradients, tangents, std::as_const(g), std::as_const(phi));
    else add_map_sum_each(sum, factor, penalty, references, gradients, std::as_const(g), std::as_const(phi));
  }

  /// The second sweep: adds d/dtheta of the base loss (its weights constant) and of what was weighed to the gradients given to record(),
  /// and puts them into `gradients`. One that stays absent is zero.
  void finish(std::vector<X>& gradients) {
    if (one_sweep()) {
      tape_.pullback_tangent(nll_, {});
    } else {
      X seed = weights_;
      if (with_tangents_) tape_.pushforward();
      if (const X& tangent = tangent_of(nll_); of_probability_ && !tangent.absent())  // d(-P) = P dS, d(-1) = 0
        seed = mapped(functor::second_seed{}, weights_, probability_, tangent);
      tape_.pullback_tangent(nll_, seed);
    }
    gradients.clear();
    for (const V& leaf : leaves_) gradients.push_back(std::move(leaf.origin->adjoint_tangent.value));
    clear();
  }

 private:
  static constexpr bool neurons = std::same_as<Policy, per_neuron>;

  const X& run(const M& model, const typename M::batch_type& batch, index_t forget, const std::vector<X>& gradients) {
    clear();
    gates_.examples = forget;
    const auto lifted = nn::lifted<V>(model, [&](std::size_t i, const X& p) {
      leaves_.push_back(tape_.leaf(p, gradients.empty() ? X{} : gradients[i]));
      return leaves_.back();
    });
    if constexpr (neurons) {
      static_assert(requires { lifted.nll(batch, gate_observer<X>{&gates_}); },
                    "ssiuu per neuron: nll() must take any observer (nn/site.hpp), and the same batch_type over every value type");
      nll_ = lifted.nll(batch, gate_observer<X>{&gates_});
      gates_.check_shown();
    } else {
      nll_ = lifted.nll(batch, nn::no_observer{});
    }
    forget_ = forget;
    labels_ = batch.lengths;
    return nll_.value;
  }

  void clear() {
    tape_.clear();
    gates_.rewind();
    leaves_.clear();
    nll_ = {};
    probability_ = weights_ = {};
    with_tangents_ = false;
  }

  /// Rows that examples share have no seed of one of them.
  [[nodiscard]] bool one_sweep() const { return !rows_.empty() && keys_.empty() && !neurons && order_ == curvature::first_order; }

  [[nodiscard]] static X product(const X& a, const X& b) {
    if (b.absent()) return zeros<X>(a.extents());
    return mapped(functor::multiply{}, a, b);
  }

  tape<dual<X>> tape_;
  gate_list<X> gates_;
  std::vector<V> leaves_;
  V nll_{};
  X probability_{}, weights_{};         // of the forget examples; no P where log P is measured
  index_t forget_ = 0;
  std::vector<index_t> rows_, labels_, keys_;  // of each example; no rows where not recorded as joint, no keys where rows are not shared
  curvature order_;
  bool of_probability_, with_tangents_ = false;
};

}  // namespace expunge::attribution
