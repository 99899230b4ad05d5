// The harmful retraining attack: does retraining on a few forgotten examples bring back the others?
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "expunge/attack/retraining.hpp"
#include "expunge/core/random.hpp"

namespace expunge::attack {

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
  std::vector<attack_run> run(const M& model, std::span<const typename M::example_type> forget, const detail::right_answers<M>& right) const {
    using example = typename M::example_type;
    constexpr const char* name = "harmful attack";
    require(fraction > 0 && fraction < 1, name, ": fraction is ", fraction, ", expected a number between 0 and 1");
    detail::check_retraining(name, *this);
    const auto answers_of = detail::checked<M>(name, right);
    const std::vector<bool> now = answers_of(model, forget);
    std::vector<index_t> wrong;
    for (std::size_t i = 0; i < now.size(); ++i)
      if (!now[i]) wrong.push_back(static_cast<index_t>(i));
    require(wrong.size() >= 2, name, ": the model answers ", wrong.size(), " of ", forget.size(),
            " forget examples wrong; at least two are needed, unlearn first");
    const auto chosen = static_cast<std::size_t>(
        std::clamp<index_t>(std::lround(fraction * static_cast<double>(wrong.size())), 1, std::ssize(wrong) - 1));

    std::vector<attack_run> runs;
    index_t epochs_done = 0;
    for (index_t seed = 0; seed < seeds; ++seed) {
      std::vector<index_t> order = wrong;
      philox generator(static_cast<std::uint64_t>(seed), 0xA77AC4);
      shuffle(order, generator);
      std::vector<example> train, rest;
      for (std::size_t i = 0; i < order.size(); ++i) (i < chosen ? train : rest).push_back(forget[static_cast<std::size_t>(order[i])]);
      runs.push_back(detail::retrain(name, *this, model, train, rest, answers_of, seed, epochs_done));
      runs.back().retrained.assign(order.begin(), order.begin() + std::ptrdiff_t(chosen));
    }
    return runs;
  }
};

}  // namespace expunge::attack
