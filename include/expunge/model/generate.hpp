// Greedy generation for many prompts at once, as one ragged batch.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "expunge/model/decoder.hpp"

namespace expunge::model {

/// Up to `tokens` most likely next tokens for each prompt; a prompt ends after a token of `stops` (kept) or where the model's
/// context is full. Every step runs the whole sequence: O(tokens) forward passes over the batch. `keep_going(prompt, ids)`
/// may end a prompt early.
template <class X, class KeepGoing>
std::vector<std::vector<std::int32_t>> generate(const decoder<X>& model, std::span<const std::vector<std::int32_t>> prompts,
                                                index_t tokens, std::span<const std::int32_t> stops, const KeepGoing& keep_going) {
  std::vector<std::vector<std::int32_t>> out(prompts.size());
  std::vector<std::size_t> open(prompts.size());
  for (std::size_t i = 0; i < open.size(); ++i) open[i] = i;
  for (index_t step = 0; step < tokens && !open.empty(); ++step) {
    std::vector<nn::token_sequence> sequences;
    for (const std::size_t i : open) {
      nn::token_sequence s{prompts[i], 0};
      s.tokens.insert(s.tokens.end(), out[i].begin(), out[i].end());
      s.answer_begin = std::ssize(s.tokens);
      s.tokens.push_back(0);  // a label to ask for the logits of the last row
      sequences.push_back(std::move(s));
    }
    std::vector<const nn::token_sequence*> batch;
    for (const auto& s : sequences) batch.push_back(&s);
    const auto logits = model.logits(model.make_batch(batch)).to_vector();
    std::vector<std::size_t> still_open;
    for (std::size_t row = 0; row < open.size(); ++row) {
      const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(row) * model.config.vocabulary;
      const auto best = static_cast<std::int32_t>(std::max_element(begin, begin + model.config.vocabulary) - begin);
      auto& ids = out[open[row]];
      ids.push_back(best);
      const bool stopped = std::find(stops.begin(), stops.end(), best) != stops.end();
      const bool full = std::ssize(sequences[row].tokens) >= model.config.context;
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
