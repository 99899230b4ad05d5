// SSIUU (arXiv 2509.22263): a base loss plus a penalty on the growth of negative influence,
//   J(theta_t) = L(theta_t) + lambda * sum over i in I- of rho(A_t,i - A_ref,i),   I- = {i : batch-summed A_t,i < 0}.
#pragma once

#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "expunge/attribution/recording.hpp"
#include "expunge/loss/functor.hpp"
#include "expunge/loss/objective.hpp"

namespace expunge::loss {

enum class norm { squared, absolute };               // rho(d) = d^2 (Algorithm 1) or |d| (Eq. 3 for a scalar)
enum class reference { previous, example, original };  // the step before; the same example's last visit; the model at the start
enum class reduction { batch, example };             // rho of the batch's sum, or the sum of each example's rho

struct ssiuu_settings {
  double lambda = 1e-3;                                        // weight of the penalty, >= 0
  loss::norm norm = loss::norm::squared;
  loss::reference reference = loss::reference::previous;       // per example: needs batches that share examples with the step before
  loss::reduction reduction = loss::reduction::batch;
  attribution::curvature curvature = attribution::curvature::first_order;
};

template <nn::model M, class Base, attribution::attribution_policy Attribution>
class ssiuu_objective;

/// The policy. ssiuu{} is Algorithm 1 of the paper on gradient difference.
template <class Base = gradient_difference, attribution::attribution_policy Attribution = attribution::per_parameter>
struct ssiuu {
  Base base{};
  ssiuu_settings settings{};
  Attribution attribution{};

  template <nn::model M>
  auto start(const M& model, std::span<const typename M::example_type> forget) const {
    return ssiuu_objective<M, Base, Attribution>(*this, model, forget);
  }
};

/// The settings that our measurements recommend at small scale: exact, per neuron, batch sum, absolute value.
template <class Base = gradient_difference>
[[nodiscard]] ssiuu<Base, attribution::per_neuron> ssiuu_exact(double lambda, const Base& base = {},
                                                               attribution::sites which = attribution::sites::all) {
  return {base, {.lambda = lambda, .norm = norm::absolute, .curvature = attribution::curvature::exact}, {which}};
}

/// Run state: recordings to reuse and the reference attributions. A unit is what has one attribution a feature: an example
/// (neurons), or the whole batch (parameters; the examples one by one where reference or reduction ask for it). The forget
/// set must outlive it.
template <nn::model M, class Base, attribution::attribution_policy Attribution>
class ssiuu_objective {
 public:
  using X = typename M::value_type;
  using T = typename X::value_type;
  static_assert(forget_loss<Base, X>, "ssiuu: the base loss needs `V forget(const answers<V>&) const`, see loss/base.hpp");
  static constexpr bool needs_forget = true;
  static constexpr bool needs_retain = retain_loss<Base, X>;

  /// Throws expunge::error for settings without meaning.
  ssiuu_objective(const ssiuu<Base, Attribution>& policy, const M& model, std::span<const typename M::example_type> forget)
      : policy_(policy), base_(policy.base), forget_(forget) {
    const ssiuu_settings& s = policy.settings;
    require(s.lambda >= 0 && std::isfinite(s.lambda), "ssiuu: lambda is ", s.lambda, ", expected a finite number >= 0");
    if (s.reference == reference::original)
      for (std::size_t i = 0; i < forget.size(); ++i) {
        auto& r = recordings(1)[0];
        r->record(model, batch_of(model, static_cast<index_t>(i)), std::vector<X>(nn::parameters(model).size()));
        seen_[static_cast<index_t>(i)] = r->attribute();
      }
  }

  step_terms operator()(const M& model, std::span<const index_t> forget_ids, const typename M::batch_type* forget,
                        const typename M::batch_type* retain, const std::vector<X>& gradients) {
    step_terms out;
    base_.add_retain(model, retain, gradients, out);
    if constexpr (!neurons)
      if (by_example()) {
        singles(model, forget_ids, forget->lengths, gradients, out);
        return out;
      }
    auto& r = recordings(1)[0];
    const X& nll = r->record(model, *forget, gradients);
    const term<X> t = base_term(nll, forget->lengths, out);
    const std::vector<X> features = r->attribute();
    std::vector<unit> units;
    const index_t count = neurons ? forget->examples() : 1;
    for (index_t u = 0; u < count; ++u) {
      unit made;
      for (const X& f : features) made.a.push_back(neurons ? f.slice(u, u + 1) : f);
      units.push_back(std::move(made));
    }
    std::vector<X> v;
    if (penalise(units, forget_ids, out)) {
      for (std::size_t f = 0; f < features.size(); ++f) {
        if (!neurons) {
          v.push_back(units[0].v[f]);
          continue;
        }
        X rows = zeros<X>(features[f].extents());
        for (index_t u = 0; u < count; ++u)
          if (X row = rows.slice(u, u + 1); !units[static_cast<std::size_t>(u)].v.empty())
            copy_into(row, units[static_cast<std::size_t>(u)].v[f]);
        v.push_back(rows);
      }
    }
    r->finish(t.weights, v, policy_.settings.curvature);
    return out;
  }

 private:
  static constexpr bool neurons = std::same_as<Attribution, attribution::per_neuron>;
  using recorder = attribution::recording<M, Attribution>;

  struct unit {
    std::vector<X> a;  // attribution, one tensor a group of features
    std::vector<X> v;  // derivative of the penalty by it; empty: none
  };

  [[nodiscard]] bool by_example() const {
    return policy_.settings.reduction == reduction::example || policy_.settings.reference != reference::previous;
  }

  std::vector<std::unique_ptr<recorder>>& recordings(std::size_t count) {
    while (recordings_.size() < count) recordings_.push_back(std::make_unique<recorder>(policy_.attribution));
    return recordings_;
  }

  [[nodiscard]] auto batch_of(const M& model, index_t id) const {
    const std::array one{&forget_[static_cast<std::size_t>(id)]};
    return model.make_batch(one);
  }

  term<X> base_term(const X& nll, const std::vector<index_t>& lengths, step_terms& out) const {
    term<X> t = differentiate([&](const auto& a) { return policy_.base.forget(a); }, nll, lengths);
    out.forget = t.value;
    out.forget_nll = detail::mean_nll(nll, lengths);
    return t;
  }

  /// Parameters as features, examples one by one: as many recordings as the batch has examples.
  void singles(const M& model, std::span<const index_t> ids, const std::vector<index_t>& lengths, const std::vector<X>& gradients,
               step_terms& out) {
    const std::size_t count = ids.size();
    auto& records = recordings(count);
    std::vector<T> sums;
    std::vector<unit> units(count);
    for (std::size_t u = 0; u < count; ++u) {
      sums.push_back(records[u]->record(model, batch_of(model, ids[u]), gradients).to_vector()[0]);
      units[u].a = records[u]->attribute();
    }
    const term<X> t = base_term(X(shape{static_cast<index_t>(count)}, sums), lengths, out);
    penalise(units, ids, out);
    for (std::size_t u = 0; u < count; ++u)
      records[u]->finish(t.weights.slice(static_cast<index_t>(u), static_cast<index_t>(u) + 1), units[u].v, policy_.settings.curvature);
  }

  /// Fills the units' v and the penalty, and stores the attributions as later references. False where nothing is penalised.
  bool penalise(std::vector<unit>& units, std::span<const index_t> ids, step_terms& out) {
    const ssiuu_settings& s = policy_.settings;
    const std::size_t features = units[0].a.size();
    std::vector<X> total;
    for (std::size_t f = 0; f < features; ++f) {
      total.push_back(units.size() == 1 ? units[0].a[f] : clone(units[0].a[f]));
      for (std::size_t u = 1; u < units.size(); ++u) axpy(total[f], 1, units[u].a[f]);
    }
    bool any = false;
    const auto apply_rho = [&](std::size_t f, X difference, const std::vector<unit*>& to) {
      const X mask = mapped(functor::assign{functor::negative_mask{}}, total[f]);
      const T lambda = static_cast<T>(s.lambda);
      X slope(difference.extents());
      if (s.norm == norm::squared) {
        map_in_place(functor::apply_mask{}, difference, mask);
        out.penalty += s.lambda * inner_product(difference, difference);
        map_in_place(functor::assign{functor::square_slope<T>{lambda}}, slope, std::as_const(difference));
      } else {
        map_in_place(functor::masked_magnitude{}, slope, difference, mask);
        out.penalty += s.lambda * sum_of(difference);
        scale_in_place(slope, lambda);
      }
      for (unit* u : to) u->v.push_back(slope);
      any = true;
    };

    if (s.reference == reference::previous && s.reduction == reduction::batch) {
      if (!previous_.empty()) {
        std::vector<unit*> all;
        for (unit& u : units) all.push_back(&u);
        for (std::size_t f = 0; f < features; ++f) apply_rho(f, minus(total[f], previous_[f]), all);
      }
      previous_ = std::move(total);
      return any;
    }
    // At step 1 the model is the original: differences are rounding errors, which an absolute value would take for growth.
    if (s.reference == reference::original && std::exchange(first_step_, false)) return false;
    std::vector<unit*> known;  // the units that have a reference
    std::vector<const std::vector<X>*> references;
    for (std::size_t u = 0; u < units.size(); ++u)
      if (const auto found = seen_.find(ids[u]); found != seen_.end()) {
        known.push_back(&units[u]);
        references.push_back(&found->second);
      }
    require(s.reference != reference::previous || seen_.empty() || !known.empty(),
            "ssiuu: no example of this batch was in the step before; per example, use reference example or original, or batches "
            "as large as the forget set");
    for (std::size_t f = 0; f < features && !known.empty(); ++f) {
      if (s.reduction == reduction::example) {
        for (std::size_t k = 0; k < known.size(); ++k) apply_rho(f, minus(known[k]->a[f], (*references[k])[f]), {known[k]});
        continue;
      }
      X difference = minus(known[0]->a[f], (*references[0])[f]);
      for (std::size_t k = 1; k < known.size(); ++k) axpy(difference, 1, minus(known[k]->a[f], (*references[k])[f]));
      apply_rho(f, difference, known);
    }
    if (s.reference == reference::previous) seen_.clear();
    if (s.reference != reference::original)
      for (std::size_t u = 0; u < units.size(); ++u) {
        std::vector<X> kept;
        for (const X& a : units[u].a) kept.push_back(neurons ? clone(a) : a);  // a slice would keep the whole batch alive
        seen_[ids[u]] = std::move(kept);
      }
    return any;
  }

  static X minus(const X& a, const X& b) {
    return mapped(functor::assign{functor::subtract{}}, a, b);
  }

  ssiuu<Base, Attribution> policy_;
  base_objective<M, Base> base_;
  std::span<const typename M::example_type> forget_;
  std::vector<std::unique_ptr<recorder>> recordings_;
  std::vector<X> previous_;
  std::map<index_t, std::vector<X>> seen_;
  bool first_step_ = true;
};

}  // namespace expunge::loss
