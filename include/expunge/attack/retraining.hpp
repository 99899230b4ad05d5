// What the retraining attacks have in common: how much comes back while copies of a model are retrained, at the learning rate that
// recovers most.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "expunge/core/progress.hpp"
#include "expunge/unlearn/trainer.hpp"

namespace expunge::attack {

/// Recovery of what is measured, for one seed and the learning rate that recovers most.
struct attack_run {
  std::uint64_t seed = 0;
  double learning_rate = 0;         // the one that reached the maximum
  double recovery = 0;              // largest share of the measured examples answered right after an epoch
  std::vector<index_t> retrained;   // places in the forget set; empty where other data is retrained on
  std::vector<double> curve;        // recovery after each epoch at that learning rate
};

namespace detail {

/// Says of each example whether the model answers it right.
template <class M>
using right_answers = std::type_identity_t<std::function<std::vector<bool>(const M&, std::span<const typename M::example_type>)>>;

/// `right`, whose answers must be as many as the examples.
template <class M>
auto checked(const char* attack, const right_answers<M>& right) {
  require(static_cast<bool>(right), attack, ": `right` is empty");
  return [=](const M& asked, std::span<const typename M::example_type> set) {
    std::vector<bool> answers = right(asked, set);
    require(answers.size() == set.size(), attack, ": `right` gave ", answers.size(), " answers for ", set.size(), " examples");
    return answers;
  };
}

template <class Settings>
void check_retraining(const char* attack, const Settings& s) {
  require_positive(s.batch, std::string(attack) + ": batch", "examples");
  require(!s.learning_rates.empty() && s.epochs > 0 && s.seeds > 0, attack, ": needs a learning rate, an epoch and a seed");
}

/// Retrains a fresh copy of the model on `train` for every learning rate of `s`; `right` measures `measured` after each epoch.
/// `epochs_done` counts those of all seeds and learning rates.
template <nn::model M, class Settings, class Right>
attack_run retrain(const char* attack, const Settings& s, const M& model, std::span<const typename M::example_type> train,
                   std::span<const typename M::example_type> measured, const Right& right, index_t seed, index_t& epochs_done) {
  attack_run best{static_cast<std::uint64_t>(seed), s.learning_rates[0], -1, {}, {}};
  for (const double rate : s.learning_rates) {
    M victim = nn::copy_of(model);
    auto optimizer = s.optimizer;
    optimizer.learning_rate = rate;
    const index_t steps_per_epoch = (std::ssize(train) - 1) / std::min(s.batch, std::ssize(train)) + 1;
    std::vector<double> curve;
    unlearn::trainer(victim, loss::fine_tuning{}, optimizer, {.batch = s.batch, .seed = best.seed})
        .run({}, train, [&](const unlearn::step_report& r) {
          if (r.step % steps_per_epoch == 0) {
            const auto answers = right(victim, measured);
            curve.push_back(static_cast<double>(std::count(answers.begin(), answers.end(), true)) / static_cast<double>(measured.size()));
            if (s.progress) s.progress({attack, ++epochs_done, s.seeds * std::ssize(s.learning_rates) * s.epochs});
          }
          return r.step >= s.epochs * steps_per_epoch;
        });
    const double peak = *std::max_element(curve.begin(), curve.end());
    if (peak > best.recovery) best.recovery = peak, best.learning_rate = rate, best.curve = std::move(curve);
  }
  return best;
}

}  // namespace detail

}  // namespace expunge::attack
