// The harmful retraining attack: does retraining on a few forgotten examples bring back the others?
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>
#include <type_traits>
#include <vector>

#include "expunge/core/progress.hpp"
#include "expunge/unlearn/trainer.hpp"

namespace expunge::attack {

/// Recovery of the disjoint rest under one split and the learning rate that recovers most.
struct attack_run {
  std::uint64_t seed = 0;
  double learning_rate = 0;         // the one that reached the maximum
  double recovery = 0;              // largest share of the rest answered right after an epoch
  std::vector<index_t> retrained;   // places in the forget set
  std::vector<double> curve;        // recovery after each epoch at that learning rate
};

/// Retrains on a fraction of the forget examples that the model now answers wrong, and measures the rest. For every seed a random split; for
/// every learning rate a fresh copy of the model; the maximum over both learning rates and epochs is reported.
template <class Optimizer = optim::adamw>
struct harmful_retraining {
  double fraction = 0.1;                                  // of the wrongly answered examples; at least one example
  std::vector<double> learning_rates{1e-5, 5e-6, 1e-6};
  index_t epochs = 20;
  index_t batch = 8;
  index_t seeds = 3;
  Optimizer optimizer{};                                  // its learning rate is replaced
  progress_callback progress{};

  /// `right(model, examples)` says of each example whether the model answers it right. The model is not changed.
  /// Throws expunge::error where fewer than two examples are answered wrong, or for meaningless settings.
  template <nn::model M>
  std::vector<attack_run> run(const M& model, std::span<const typename M::example_type> forget,
                              const std::type_identity_t<std::function<std::vector<bool>(const M&, std::span<const typename M::example_type>)>>& right) const {
    using example = typename M::example_type;
    require(fraction > 0 && fraction < 1, "harmful attack: fraction is ", fraction, ", expected a number between 0 and 1");
    require_positive(batch, "harmful attack: batch", "examples");
    require(!learning_rates.empty() && epochs > 0 && seeds > 0, "harmful attack: needs a learning rate, an epoch and a seed");
    require(static_cast<bool>(right), "harmful attack: `right` is empty");
    const auto answers_of = [&](const M& asked, std::span<const example> set) {
      std::vector<bool> answers = right(asked, set);
      require(answers.size() == set.size(), "harmful attack: `right` gave ", answers.size(), " answers for ", set.size(), " examples");
      return answers;
    };
    const std::vector<bool> now = answers_of(model, forget);
    std::vector<index_t> wrong;
    for (std::size_t i = 0; i < now.size(); ++i)
      if (!now[i]) wrong.push_back(static_cast<index_t>(i));
    require(wrong.size() >= 2, "harmful attack: the model answers ", wrong.size(), " of ", forget.size(),
            " forget examples wrong; at least two are needed, unlearn first");
    const auto chosen = static_cast<std::size_t>(
        std::clamp<index_t>(std::lround(fraction * static_cast<double>(wrong.size())), 1, std::ssize(wrong) - 1));

    std::vector<attack_run> runs;
    index_t epochs_done = 0;  // over all seeds and learning rates
    for (index_t seed = 0; seed < seeds; ++seed) {
      std::vector<index_t> order = wrong;
      philox generator(static_cast<std::uint64_t>(seed), 0xA77AC4);
      shuffle(order, generator);
      std::vector<example> train, rest;
      for (std::size_t i = 0; i < order.size(); ++i) (i < chosen ? train : rest).push_back(forget[static_cast<std::size_t>(order[i])]);
      attack_run best{static_cast<std::uint64_t>(seed), learning_rates[0], -1, {order.begin(), order.begin() + std::ptrdiff_t(chosen)}, {}};
      for (const double rate : learning_rates) {
        M victim = nn::copy_of(model);
        Optimizer chosen_optimizer = optimizer;
        chosen_optimizer.learning_rate = rate;
        const index_t steps_per_epoch = (std::ssize(train) - 1) / std::min(batch, std::ssize(train)) + 1;
        std::vector<double> curve;
        unlearn::trainer(victim, loss::fine_tuning{}, chosen_optimizer, {.batch = batch, .seed = static_cast<std::uint64_t>(seed)})
            .run({}, train, [&](const unlearn::step_report& r) {
              if (r.step % steps_per_epoch == 0) {
                const auto answers = answers_of(victim, rest);
                curve.push_back(static_cast<double>(std::count(answers.begin(), answers.end(), true)) / static_cast<double>(rest.size()));
                if (progress) progress({"harmful attack", ++epochs_done, seeds * std::ssize(learning_rates) * epochs});
              }
              return r.step >= epochs * steps_per_epoch;
            });
        const double peak = *std::max_element(curve.begin(), curve.end());
        if (peak > best.recovery) best.recovery = peak, best.learning_rate = rate, best.curve = curve;
      }
      runs.push_back(std::move(best));
    }
    return runs;
  }
};

}  // namespace expunge::attack
