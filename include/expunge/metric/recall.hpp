// Recall: would greedy decoding give the answer, token by token? One forward pass with the answer in place is enough.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "expunge/model/decoder.hpp"

namespace expunge::metric {

/// For each example: is every answer token the most likely one given what stands before it? True exactly where greedy
/// generation from the prompt begins with the answer.
template <class X>
std::vector<bool> recalls(const model::decoder<X>& model, std::span<const nn::token_sequence> examples, index_t batch = 64) {
  std::vector<bool> out;
  for (std::size_t begin = 0; begin < examples.size(); begin += static_cast<std::size_t>(batch)) {
    std::vector<const nn::token_sequence*> chosen;
    for (std::size_t i = begin; i < std::min(examples.size(), begin + static_cast<std::size_t>(batch)); ++i) chosen.push_back(&examples[i]);
    const auto data = model.make_shared_batch(chosen);
    const auto logits = model.logits(data).to_vector();
    auto row = logits.begin();
    for (const nn::token_sequence* e : chosen) {
      bool all = true;
      for (auto t = e->tokens.begin() + e->answer_begin; t != e->tokens.end(); ++t, row += model.config.vocabulary)
        all = (std::max_element(row, row + model.config.vocabulary) - row == *t) && all;
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
