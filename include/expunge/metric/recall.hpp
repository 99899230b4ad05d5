// Recall: would greedy decoding give the answer, token by token? One forward pass with the answer in place is enough.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "expunge/metric/likelihood.hpp"
#include "expunge/model/generate.hpp"

namespace expunge::metric {

/// For each example: is every answer token the most likely one given what stands before it? True exactly where greedy generation from the
/// prompt begins with the answer. Up to `batch` examples at a time, fewer where they are long. Throws expunge::error for logits that are not
/// finite.
template <class X>
std::vector<bool> recalls(const model::decoder<X>& weights, std::span<const nn::token_sequence> examples, index_t batch = 64) {
  constexpr index_t most_logits = index_t{1} << 25;  // held by the device and here
  require_positive(batch, "recalls: batch", "examples");
  const index_t at_once = std::max<index_t>(1, most_logits / weights.config.vocabulary);
  std::vector<bool> out;
  while (out.size() < examples.size()) {
    const auto chosen = detail::next_part(examples.subspan(out.size()), batch);
    const X x = weights.normalised_stream(weights.make_shared_batch(chosen));
    std::vector<typename X::value_type> logits;
    index_t row = 0;  // of x
    const auto next_is = [&](std::int32_t token) {
      if (row % at_once == 0) logits = weights.head_of(x.slice(row, std::min(x.rows(), row + at_once))).to_vector();
      const auto vocabulary = static_cast<std::size_t>(weights.config.vocabulary);
      return model::likeliest(std::span(logits).subspan(static_cast<std::size_t>(row++ % at_once) * vocabulary, vocabulary)) == token;
    };
    for (const nn::token_sequence* e : chosen) {
      bool all = true;
      for (auto t = e->tokens.begin() + e->answer_begin; t != e->tokens.end(); ++t) all = next_is(*t) && all;
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
