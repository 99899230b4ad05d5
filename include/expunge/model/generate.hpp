// Greedy generation for many prompts at once, as one ragged batch.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "expunge/model/decoder.hpp"
#include "expunge/tensor/host/batches.hpp"

namespace expunge::model {

/// The most likely token of a row of logits, the first of equal ones. Throws expunge::error for logits that are not finite.
template <class T>
std::int32_t likeliest(std::span<T> logits) {
  const auto size = static_cast<index_t>(logits.size());
  const T zero = host::detail::sum_batches(size, [](const auto& x) { return x - x; }, logits.data());  // NaN where one is not finite
  require(zero == T{0}, "the model's logits are not finite: it is damaged, or training diverged and needs a lower learning rate");
  const T largest = host::detail::largest_of(size, logits.data());
  return static_cast<std::int32_t>(std::ranges::find(logits, largest) - logits.begin());
}

/// Up to `tokens` most likely next tokens for each prompt; a prompt ends after a token of `stops` (kept) or where the model's
/// context is full: with the token that all of its rows predict. A token is run once, a beginning that neighbouring prompts have in common
/// too; keys and values of all rows are kept. `keep_going(prompt, ids)` may end a prompt early. Throws expunge::error for logits that are not finite.
template <class X, class KeepGoing>
std::vector<std::vector<std::int32_t>> generate(const decoder<X>& model, std::span<const std::vector<std::int32_t>> prompts,
                                                index_t tokens, std::span<const std::int32_t> stops, const KeepGoing& keep_going) {
  std::vector<std::vector<std::int32_t>> out(prompts.size()), paths(prompts.size());  // paths: the rows of each text so far
  std::vector<std::size_t> open(prompts.size());
  std::iota(open.begin(), open.end(), std::size_t{0});
  const auto vocabulary = static_cast<std::size_t>(model.config.vocabulary);
  key_value_cache<X> past;
  for (index_t step = 0; step < tokens && !open.empty(); ++step) {
    nn::token_batch_builder<X> builder(model.config.vocabulary, model.config.context, true, past.rows());
    for (const std::size_t i : open) {
      nn::token_sequence s{prompts[i], 0};
      s.tokens.insert(s.tokens.end(), out[i].begin(), out[i].end());
      s.answer_begin = std::ssize(s.tokens);
      s.tokens.push_back(0);  // a label to ask for the logits of the last row
      if (step == 0 && i > 0) {
        paths[i] = paths[i - 1];
        paths[i].resize(std::min(paths[i].size(), nn::common_beginning(prompts[i - 1], prompts[i])));
      }
      builder.add(s, paths[i]);
    }
    const auto logits = model.logits(std::move(builder).batch(), nn::no_observer{}, &past).to_vector();
    std::vector<std::size_t> still_open;
    for (std::size_t row = 0; row < open.size(); ++row) {
      const std::int32_t best = likeliest(std::span(logits).subspan(row * vocabulary, vocabulary));
      auto& ids = out[open[row]];
      ids.push_back(best);
      const bool stopped = std::find(stops.begin(), stops.end(), best) != stops.end();
      const bool full = std::ssize(prompts[open[row]]) + std::ssize(ids) > model.config.context;
      if (!stopped && !full && keep_going(open[row], ids)) still_open.push_back(open[row]);
    }
    open = std::move(still_open);
  }
  return out;
}

template <class X>
std::vector<std::vector<std::int32_t>> generate(const decoder<X>& model, std::span<const std::vector<std::int32_t>> prompts,
                                                index_t tokens, std::span<const std::int32_t> stops = {}) {
  return generate(model, prompts, tokens, stops, [](std::size_t, const auto&) { return true; });
}

}  // namespace expunge::model
