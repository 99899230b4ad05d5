// One forget pass, recorded so that attributions can be read from it and differentiated: the engine under SSIUU.
//
//   record     forward, F
//   attribute  first sweep with seeds dP/dS = -P of P = exp(-S): attributions of the joint probability P(y|x)
//   finish     [exact: tangents v enter, forward again with tangents] and a second sweep, which gives in one go
//              d/dtheta of  sum_b w_b S_b + sum v A  (v, w constant)
#pragma once

#include <concepts>
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

  explicit recording(const Policy& policy, curvature order = curvature::exact) : order_(order) {
    if constexpr (neurons) gates_.which = policy.which;
  }

  /// Runs the model on a batch; the second sweep will accumulate into `gradients` (one tensor a parameter).
  /// Returns the summed NLL of each example, S [examples].
  const X& record(const M& model, const typename M::batch_type& batch, const std::vector<X>& gradients) {
    tape_.clear();
    gates_.rewind();
    leaves_.clear();
    with_tangents_ = false;
    const auto lifted = nn::lifted<V>(model, [&](std::size_t i, const X& p) {
      leaves_.push_back(tape_.leaf(p, gradients[i]));
      return leaves_.back();
    });
    if constexpr (neurons) nll_ = lifted.nll(batch, gate_observer<X>{&gates_});
    else nll_ = lifted.nll(batch, nn::no_observer{});
    return nll_.value;
  }

  /// The first sweep, after which feature(0 .. features()) can be read.
  void attribute() {
    probability_ = mapped(functor::assign{functor::joint_probability{}}, nll_.value);
    tape_.pullback(nll_, mapped(functor::assign{functor::negate{}}, probability_), !neurons);
  }

  [[nodiscard]] std::size_t features() const {
    if constexpr (neurons) return gates_.gates.size();
    else return leaves_.size();
  }

  /// Attributions of a site, [examples, neurons], or of a parameter, its shape. One at a time: a parameter's are computed here.
  [[nodiscard]] X feature(std::size_t f) const {
    if constexpr (neurons) return gates_.gates[f].sum;
    else return product(leaves_[f].value, gradient_of(leaves_[f]));
  }

  /// Adds sum v A_f to what finish() differentiates; v has the shape of feature(f) and is constant. Once a feature.
  void weigh(std::size_t f, const X& v) {
    with_tangents_ = order_ == curvature::exact;
    if constexpr (neurons) {
      gates_.gates[f].tangent = v;
    } else {
      if (with_tangents_) set_tangent(leaves_[f], product(v, leaves_[f].value));
      if (const X& g = gradient_of(leaves_[f]); !g.absent())  // the share of A = phi g that phi itself carries
        cotangent_slot<X>(&leaves_[f].origin->adjoint_tangent).add_mapped(functor::multiply{}, v, g);
    }
  }

  /// The second sweep: adds to the gradients d/dtheta of sum_b weights[b] S_b and of what was weighed.
  void finish(const X& weights) {
    X seed = weights;
    if (with_tangents_) tape_.pushforward();
    if (const X& tangent = tangent_of(nll_); !tangent.absent())  // d(-P) = P dS
      seed = mapped(functor::assign{functor::second_seed{}}, weights, probability_, tangent);
    tape_.pullback_tangent(nll_, seed);
  }

 private:
  static constexpr bool neurons = std::same_as<Policy, per_neuron>;

  [[nodiscard]] static X product(const X& a, const X& b) {
    if (b.absent()) return zeros<X>(a.extents());
    return mapped(functor::assign{functor::multiply{}}, a, b);
  }

  tape<dual<X>> tape_;
  gate_list<X> gates_;
  std::vector<V> leaves_;
  V nll_{};
  X probability_{};
  curvature order_;
  bool with_tangents_ = false;
};

}  // namespace expunge::attribution
