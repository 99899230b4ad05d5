// Token sequences that mean nothing.
#pragma once

#include <cstdint>
#include <vector>

#include <expunge/core/random.hpp>
#include <expunge/nn/token_batch.hpp>

namespace expunge::testing {

/// `count` sequences of `length` tokens, of which the last `answer` are answers.
inline std::vector<nn::token_sequence> random_sequences(std::uint64_t seed, std::size_t count, index_t length, index_t answer, std::uint32_t vocabulary) {
  philox g(seed);
  std::vector<nn::token_sequence> out(count);
  for (auto& s : out) {
    for (index_t i = 0; i < length; ++i) s.tokens.push_back(static_cast<std::int32_t>(uniform_below(g, vocabulary)));
    s.answer_begin = length - answer;
  }
  return out;
}

}  // namespace expunge::testing
