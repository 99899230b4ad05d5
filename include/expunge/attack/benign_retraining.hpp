// The benign retraining attack: does retraining on other data bring back what was forgotten?
#pragma once

#include <span>
#include <vector>

#include "expunge/attack/retraining.hpp"

namespace expunge::attack {

/// Retrains on examples that have nothing to do with what was forgotten, and measures all forget examples. For every seed another order;
/// for every learning rate a fresh copy of the model; the maximum over both learning rates and epochs is reported.
template <class Optimizer = optim::adamw>
struct benign_retraining {
  std::vector<double> learning_rates{1e-5, 1e-6, 1e-7};
  index_t epochs = 20;
  index_t batch = 8;
  index_t seeds = 3;
  Optimizer optimizer{};                                  // its learning rate is replaced
  progress_callback progress{};

  /// `right(model, examples)` says of each example whether the model answers it right. The model is not changed.
  /// Throws expunge::error for an empty set or meaningless settings.
  template <nn::model M>
  std::vector<attack_run> run(const M& model, std::span<const typename M::example_type> train,
                              std::span<const typename M::example_type> forget, const detail::right_answers<M>& right) const {
    constexpr const char* name = "benign attack";
    detail::check_retraining(name, *this);
    const auto answers_of = detail::checked<M>(name, right);
    require(!train.empty() && !forget.empty(), name, ": needs an example to retrain on and one that was forgotten");
    std::vector<attack_run> runs;
    index_t epochs_done = 0;
    for (index_t seed = 0; seed < seeds; ++seed)
      runs.push_back(detail::retrain(name, *this, model, train, forget, answers_of, seed, epochs_done));
    return runs;
  }
};

}  // namespace expunge::attack
