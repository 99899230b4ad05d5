// Recall: would greedy decoding give the answer, token by token? One forward pass with the answer in place is enough.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "expunge/model/generate.hpp"

namespace expunge::metric {

/// For each example: is every answer token the most likely one given what stands before it? Within the model's context true exactly
/// where greedy generation from the prompt begins with the answer; of a text one token longer than the context the last token is judged
/// too, which generation never reaches. Up to `batch` examples at a time, fewer where their logits are many. Throws expunge::error for logits
/// that are not finite.
template <class X>
std::vector<bool> recalls(const model::decoder<X>& weights, std::span<const nn::token_sequence> examples, index_t batch = 64) {
  constexpr index_t most_logits = index_t{1} << 26;  // of several examples, held by the device and here
  require_positive(batch, "recalls: batch", "examples");
  const auto vocabulary = static_cast<std::size_t>(weights.config.vocabulary);
  std::vector<bool> out;
  while (out.size() < examples.size()) {
    std::vector<const nn::token_sequence*> chosen;
    index_t held = 0;
    for (const nn::token_sequence& e : examples.subspan(out.size())) {
      held += e.answer_length() * weights.config.vocabulary;
      if (std::ssize(chosen) == batch || (!chosen.empty() && held > most_logits)) break;
      chosen.push_back(&e);
    }
    const auto data = weights.make_shared_batch(chosen);
    const auto logits = weights.logits(data).to_vector();
    std::span rest(logits);
    for (const nn::token_sequence* e : chosen) {
      bool all = true;
      for (auto t = e->tokens.begin() + e->answer_begin; t != e->tokens.end(); ++t, rest = rest.subspan(vocabulary))
        all = model::likeliest(rest.first(vocabulary)) == *t && all;
      out.push_back(all);
    }
  }
  return out;
}

/// The share of true values; 0 for none.
inline double share(const std::vector<bool>& values) {
  return values.empty() ? 0 : static_cast<double>(std::count(values.begin(), values.end(), true)) / static_cast<double>(values.size());
}

}  // namespace expunge::metric
