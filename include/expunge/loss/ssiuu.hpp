// SSIUU as it runs: the penalty of ssiuu_policy.hpp over the attributions of a recorded pass.
#pragma once

#include <algorithm>
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
#include "expunge/loss/ssiuu_policy.hpp"

namespace expunge::loss {

/// Run state: recordings to reuse and the reference attributions. A unit is what has one attribution a feature: an example
/// (neurons), or the whole batch (parameters; the examples one by one where reference or reduction ask for it). The penalty is
/// applied feature by feature, so that a step holds one feature's attributions beside the references, or, of the batch's parameters, in one
/// sweep that holds none. The forget set must outlive it.
template <nn::model M, class Base, attribution::attribution_policy Attribution>
class ssiuu_objective {
 public:
  using X = typename M::value_type;
  using T = typename X::value_type;
  static_assert(forget_loss<Base, X>, "ssiuu: the base loss needs `V forget(const answers<V>&) const`, see loss/base.hpp");
  static_assert(!stateful_policy<Base, M>, "ssiuu: the base loss has a `start`, which would be left out; its terms alone count");
  static constexpr bool needs_forget = true;
  static constexpr bool needs_retain = retain_loss<Base, X>;

  /// Throws expunge::error for settings without meaning.
  ssiuu_objective(const ssiuu<Base, Attribution>& policy, const M& model, std::span<const typename M::example_type> forget, bool joint)
      : policy_(policy), base_(policy.base), forget_(forget), joint_(joint && nn::row_structured<typename M::batch_type>) {
    const ssiuu_settings& s = policy.settings;
    require(s.lambda >= 0 && std::isfinite(s.lambda), "ssiuu: lambda is ", s.lambda, ", expected a finite number >= 0");
    if (s.reference == reference::original)
      for (std::size_t i = 0; i < forget.size(); ++i) {
        recorder& r = *recordings(1)[0];
        r.record(model, batch_of(model, static_cast<index_t>(i)), {});
        r.attribute(zeros<X>(shape{1}));
        for (std::size_t f = 0; f < r.features(); ++f) seen_[static_cast<index_t>(i)].push_back(r.feature(f));
      }
  }

  /// Makes the `gradients` and adds what it measured to `out`, see base_objective.
  void operator()(const M& model, std::span<const index_t> forget_ids, const example_list<M>& forget, const example_list<M>& retain,
                  std::vector<X>& gradients, step_sums<X>& out) {
    require(policy_.settings.reference != reference::previous || seen_.empty() || std::ranges::any_of(forget_ids, [&](index_t id) { return seen_.contains(id); }),
            "ssiuu: no example of this batch was in the step before; per example, use reference example or original, or batches "
            "as large as the forget set");
    if (policy_.settings.reference == reference::previous)  // before new ones come
      std::erase_if(seen_, [&](const auto& kept) { return std::ranges::find(forget_ids, kept.first) == forget_ids.end(); });
    const bool one_by_one = !neurons && by_example(), joint = joint_ && !one_by_one;
    if (!joint && needs_retain) base_.pass(model, retain, 0, gradients, out);
    if (one_by_one) singles(model, forget_ids, gradients, out);
    else together(model, forget_ids, forget, joint && needs_retain ? retain : example_list<M>{}, gradients, joint, out);
    first_step_ = false;
  }

 private:
  static constexpr bool neurons = std::same_as<Attribution, attribution::per_neuron>;
  using recorder = attribution::recording<M, Attribution>;

  [[nodiscard]] bool by_example() const {
    return policy_.settings.reduction == reduction::example || policy_.settings.reference != reference::previous;
  }

  std::vector<std::unique_ptr<recorder>>& recordings(std::size_t count) {
    const ssiuu_settings& s = policy_.settings;
    while (recordings_.size() < count) recordings_.push_back(std::make_unique<recorder>(policy_.attribution, s.curvature, s.measured));
    return recordings_;
  }

  [[nodiscard]] auto batch_of(const M& model, index_t id) const {
    const std::array one{&forget_[static_cast<std::size_t>(id)]};
    return model.make_batch(one);
  }

  /// The batch in one recording: its examples are the units of neurons, it is itself the unit of parameters.
  void together(const M& model, std::span<const index_t> ids, example_list<M> examples, const example_list<M>& retain,
                std::vector<X>& gradients, bool joint, step_sums<X>& out) {
    recorder& r = *recordings(1)[0];
    const index_t forget = std::ssize(examples);
    examples.insert(examples.end(), retain.begin(), retain.end());
    const auto batch = by_example() || !joint ? model.make_batch(examples) : nn::training_batch(model, examples, forget);
    const X nll = [&] {
      if constexpr (nn::row_structured<typename M::batch_type>)
        if (joint) return r.record_joint(model, batch, forget);
      return r.record(model, batch, gradients);
    }();
    r.attribute(detail::base_weights(policy_.base, nll, batch.lengths, forget, out));
    if constexpr (neurons)
      for (std::size_t f = 0; f < r.features(); ++f) weigh_neurons(r, f, ids, out);
    else weigh_parameters(r, out);
    r.finish(gradients);
  }

  void weigh_neurons(recorder& r, std::size_t f, std::span<const index_t> ids, step_sums<X>& out) {
    const X all = r.feature(f);  // [units, width]
    X total{};
    X::template run<primitive::column_sum>(all.data(), all.rows(), all.cols(), new_destination(total, shape{1, all.cols()}));
    if (!by_example()) {  // the batch's sum against the step before's, which it replaces; nothing at the first step
      if (f == previous_.size()) return previous_.push_back(total);
      X slope(total.extents());
      add_penalty(out, previous_[f], slope, std::as_const(total));
      return r.weigh(f, slope);
    }
    std::vector<X> units;
    for (index_t u = 0; u < std::ssize(ids); ++u) units.push_back(all.slice(u, u + 1));
    const std::vector<X> slopes = penalise(f, total, units, ids, out);
    if (std::ranges::all_of(slopes, [](const X& v) { return v.absent(); })) return;
    X rows = zeros<X>(all.extents());
    for (std::size_t u = 0; u < slopes.size(); ++u)
      if (X row = rows.slice(static_cast<index_t>(u), static_cast<index_t>(u) + 1); !slopes[u].absent()) copy_into(row, slopes[u]);
    r.weigh(f, rows);
  }

  /// The batch's sum against the step before's: in one sweep over memory.
  void weigh_parameters(recorder& r, step_sums<X>& out) {
    if (!previous_.empty()) return r.weigh_by(functor::parameter_penalty<T>{penalty()}, previous_, out.sum(out.penalty), policy_.settings.lambda);
    for (std::size_t f = 0; f < r.features(); ++f) previous_.push_back(r.feature(f));
  }

  /// Parameters as features, examples one by one: as many recordings as the batch has examples.
  void singles(const M& model, std::span<const index_t> ids, std::vector<X>& gradients, step_sums<X>& out) {
    const std::size_t count = ids.size();
    fill_absent(gradients, nn::parameters(model));  // the recordings add to the same memory
    auto& records = recordings(count);
    const auto n = static_cast<index_t>(count);
    X nll(shape{n});
    std::vector<index_t> lengths;
    for (std::size_t u = 0; u < count; ++u) {
      const auto batch = batch_of(model, ids[u]);
      X one = nll.slice(static_cast<index_t>(u), static_cast<index_t>(u) + 1);
      copy_into(one, records[u]->record(model, batch, gradients));
      lengths.push_back(batch.lengths[0]);
    }
    const X weights = detail::base_weights(policy_.base, nll, lengths, n, out);
    for (std::size_t u = 0; u < count; ++u) records[u]->attribute(weights.slice(static_cast<index_t>(u), static_cast<index_t>(u) + 1));
    for (std::size_t f = 0; f < records[0]->features(); ++f) {
      std::vector<X> units;
      for (std::size_t u = 0; u < count; ++u) units.push_back(records[u]->feature(f));
      X total = count == 1 ? units[0] : clone(units[0]);
      for (std::size_t u = 1; u < count; ++u) axpy(total, 1, units[u]);
      const std::vector<X> slopes = penalise(f, total, units, ids, out);
      for (std::size_t u = 0; u < count; ++u)
        if (!slopes[u].absent()) records[u]->weigh(f, slopes[u]);
    }
    for (std::size_t u = 0; u < count; ++u) records[u]->finish(gradients);
  }

  /// The penalty of feature f over the units' attributions `a`, which sum to `total`: adds its value and keeps `a` as a later
  /// reference. Returns its slope by each unit's attribution, absent where a unit has no reference yet.
  std::vector<X> penalise(std::size_t f, const X& total, const std::vector<X>& a, std::span<const index_t> ids, step_sums<X>& out) {
    const ssiuu_settings& s = policy_.settings;
    std::vector<X> slopes(a.size());
    // At step 1 the model is the original: differences are rounding errors, which an absolute value would take for growth.
    if (s.reference == reference::original && first_step_) return slopes;
    X together{};  // the sum of the differences of the units that have a reference
    for (std::size_t u = 0; u < a.size(); ++u) {
      const X* const before = reference_of(ids[u], f);
      if (before == nullptr) continue;
      X difference = minus(a[u], *before);
      if (s.reduction == reduction::example) slopes[u] = slope_of(total, difference, out);
      else if (together.absent()) together = difference;
      else axpy(together, 1, difference);
    }
    if (!together.absent()) {
      const X slope = slope_of(total, together, out);
      for (std::size_t u = 0; u < a.size(); ++u)
        if (reference_of(ids[u], f) != nullptr) slopes[u] = slope;
    }
    if (s.reference != reference::original)
      for (std::size_t u = 0; u < a.size(); ++u) {
        std::vector<X>& kept = seen_[ids[u]];
        kept.resize(std::max(kept.size(), f + 1));
        keep(kept[f], a[u]);
      }
    return slopes;
  }

  /// Copies x to where its predecessor was, so that a step leaves memory as it found it.
  static void keep(X& kept, const X& x) {
    if (kept.absent()) kept = clone(x);
    else copy_into(kept, x);
  }

  [[nodiscard]] const X* reference_of(index_t id, std::size_t f) const {
    const auto found = seen_.find(id);
    return found == seen_.end() || found->second.size() <= f ? nullptr : &found->second[f];
  }

  [[nodiscard]] functor::growth_penalty<T> penalty() const {
    return {policy_.settings.norm == norm::squared, static_cast<T>(policy_.settings.lambda)};
  }
  void add_penalty(step_sums<X>& out, auto&... arrays) const {
    auto sum = out.sum(out.penalty);
    add_map_sum(sum, policy_.settings.lambda, penalty(), arrays...);
  }
  /// Adds lambda rho(difference) over the features whose `total` is negative; returns its slope, in the memory of `difference`.
  X slope_of(const X& total, X difference, step_sums<X>& out) const {
    add_penalty(out, difference, total);
    return difference;
  }

  static X minus(const X& a, const X& b) {
    return mapped(functor::subtract{}, a, b);
  }

  ssiuu<Base, Attribution> policy_;
  base_objective<M, Base> base_;
  std::span<const typename M::example_type> forget_;
  std::vector<std::unique_ptr<recorder>> recordings_;
  std::vector<X> previous_;
  std::map<index_t, std::vector<X>> seen_;
  bool joint_, first_step_ = true;
};

}  // namespace expunge::loss

EXPUNGE_INSTANCES(EXPUNGE_LOSS_SUMS, EXPUNGE_HOST_MAP_SUM)
EXPUNGE_INSTANCES(EXPUNGE_LOSS_SUMS_OF_MANY, EXPUNGE_HOST_MAP_SUM)
