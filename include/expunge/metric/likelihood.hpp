// Likelihoods of answers, and what follows from them: probability and multiple choice; mean and deviation of measurements.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "expunge/nn/model_concept.hpp"

namespace expunge::metric {

/// What a model gives one answer.
struct answer_likelihood {
  double nll = 0;      // summed over the answer's tokens: S
  index_t length = 1;  // |y|

  [[nodiscard]] double per_token() const { return nll / static_cast<double>(length); }
  [[nodiscard]] double probability() const { return std::exp(-per_token()); }  // as TOFU defines it
  [[nodiscard]] double joint_probability() const { return std::exp(-nll); }
};

namespace detail {
/// The first of `examples`, at most `batch`, and no more than rows that a part of them may have: what a model holds of them is bounded.
template <class Example>
std::vector<const Example*> next_part(std::span<const Example> examples, index_t batch) {
  constexpr index_t most_rows = index_t{1} << 14;  // of several examples
  std::vector<const Example*> chosen;
  index_t rows = 0;
  for (const Example& e : examples) {
    if constexpr (requires { std::ssize(e.tokens); }) rows += std::ssize(e.tokens);
    if (std::ssize(chosen) == batch || (!chosen.empty() && rows > most_rows)) break;
    chosen.push_back(&e);
  }
  return chosen;
}
}  // namespace detail

/// Likelihoods of `examples` in order, up to `batch` at a time, fewer where they are long. Those that run together, such as the choices
/// of a question, run a beginning that they have in common once where the model can (nn::shares_beginnings). Throws expunge::error for sums
/// that are not finite, as those of a damaged model, which would count as forgotten.
template <nn::model M>
std::vector<answer_likelihood> likelihoods(const M& model, std::span<const typename M::example_type> examples, index_t batch = 32) {
  require_positive(batch, "likelihoods: batch", "examples");
  std::vector<answer_likelihood> out;
  while (out.size() < examples.size()) {
    const auto data = nn::inference_batch(model, detail::next_part(examples.subspan(out.size()), batch));
    const auto sums = model.nll(data, nn::no_observer{}).to_vector();
    nn::check_sums_of_examples(static_cast<index_t>(sums.size()), data.lengths);
    for (std::size_t i = 0; i < sums.size(); ++i) {
      require(std::isfinite(sums[i]), "the model's likelihoods are not finite: it is damaged, or training diverged and needs a lower learning rate");
      out.push_back({static_cast<double>(sums[i]), data.lengths[i]});
    }
  }
  return out;
}

/// A multiple-choice question: the right answer first, then false ones. Right where the first has the largest probability a
/// token (ties count as wrong).
inline bool chooses_right(std::span<const answer_likelihood> options) {
  for (std::size_t i = 1; i < options.size(); ++i)
    if (!(options[0].per_token() < options[i].per_token())) return false;
  return true;
}

/// Mean of values; 0 for none.
inline double mean_of(std::span<const double> values) {
  double total = 0;
  for (const double v : values) total += v;
  return values.empty() ? 0 : total / static_cast<double>(values.size());
}

/// Sample standard deviation; 0 for fewer than two.
inline double deviation_of(std::span<const double> values) {
  if (values.size() < 2) return 0;
  const double m = mean_of(values);
  double total = 0;
  for (const double v : values) total += (v - m) * (v - m);
  return std::sqrt(total / static_cast<double>(values.size() - 1));
}

}  // namespace expunge::metric
