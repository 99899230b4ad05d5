// Ragged batches of token sequences: no padding, labels only where there is an answer.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/tensor/tensor.hpp"

namespace expunge::nn {

/// A text and where its answer begins: tokens[answer_begin..] are labels, what stands before is context.
struct token_sequence {
  std::vector<std::int32_t> tokens;
  index_t answer_begin = 0;

  [[nodiscard]] index_t answer_length() const { return static_cast<index_t>(tokens.size()) - answer_begin; }
};

/// Examples laid end to end. The last token of each is only a label: rows are the tokens before it.
template <class X>
struct token_batch {
  typename X::index_tensor tokens;         // [rows]
  typename X::index_tensor positions;      // [rows], from 0 in each example
  typename X::index_tensor offsets;        // [examples + 1], row ranges of the examples
  typename X::index_tensor label_rows;     // [labels], the row that predicts each label
  typename X::index_tensor labels;         // [labels]
  typename X::index_tensor label_offsets;  // [examples + 1], label ranges of the examples
  std::vector<index_t> lengths;            // answer tokens of each example
  std::vector<index_t> row_counts;         // rows of each example

  [[nodiscard]] index_t examples() const { return static_cast<index_t>(lengths.size()); }
};

/// Throws expunge::error for an empty batch, an example without answer or context, a token outside [0, vocabulary) or a
/// sequence longer than `context` rows.
template <class X>
token_batch<X> make_token_batch(std::span<const token_sequence* const> examples, index_t vocabulary, index_t context) {
  require(!examples.empty(), "a batch needs at least one example");
  std::vector<std::int32_t> tokens, positions, offsets{0}, label_rows, labels, label_offsets{0};
  token_batch<X> batch;
  for (const token_sequence* e : examples) {
    const auto length = static_cast<index_t>(e->tokens.size());
    require(e->answer_begin >= 1 && e->answer_begin < length, "an example of ", length, " tokens has its answer at ",
            e->answer_begin, ": it needs at least one token before and one token of answer");
    require(length - 1 <= context, "an example of ", length, " tokens is longer than the model's context of ", context,
            ": shorten the text or use another model");
    for (const std::int32_t token : e->tokens)
      require(token >= 0 && token < vocabulary, "token id ", token, " is outside the model's vocabulary of ", vocabulary,
              ": the tokenizer belongs to another model");
    for (index_t i = 0; i + 1 < length; ++i) {
      if (i + 1 >= e->answer_begin) {
        label_rows.push_back(static_cast<std::int32_t>(tokens.size()));
        labels.push_back(e->tokens[static_cast<std::size_t>(i + 1)]);
      }
      tokens.push_back(e->tokens[static_cast<std::size_t>(i)]);
      positions.push_back(static_cast<std::int32_t>(i));
    }
    offsets.push_back(static_cast<std::int32_t>(tokens.size()));
    label_offsets.push_back(static_cast<std::int32_t>(labels.size()));
    batch.lengths.push_back(e->answer_length());
    batch.row_counts.push_back(length - 1);
  }
  const auto made = [](const std::vector<std::int32_t>& v) {
    return typename X::index_tensor(shape{static_cast<index_t>(v.size())}, v);
  };
  batch.tokens = made(tokens);
  batch.positions = made(positions);
  batch.offsets = made(offsets);
  batch.label_rows = made(label_rows);
  batch.labels = made(labels);
  batch.label_offsets = made(label_offsets);
  return batch;
}

}  // namespace expunge::nn
