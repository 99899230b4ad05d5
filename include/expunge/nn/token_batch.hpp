// Ragged batches of token sequences: no padding, labels only where there is an answer; and batches whose examples share rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
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

/// How many tokens two texts begin with in common.
inline std::size_t common_beginning(std::span<const std::int32_t> a, std::span<const std::int32_t> b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

/// Examples laid end to end. The last token of each is only a label: rows are the tokens before it.
template <class X>
struct token_batch {
  using index_tensor = typename X::index_tensor;
  index_tensor tokens;           // [rows]
  index_tensor positions;        // [rows], from 0 in each example
  index_tensor offsets;          // [examples + 1], row ranges of the examples
  index_tensor label_rows;       // [labels], the row that predicts each label
  index_tensor labels;           // [labels]
  index_tensor label_offsets;    // [examples + 1], label ranges of the examples
  index_tensor key_rows;         // where examples share rows: of each example the rows of all its tokens but the last
  index_tensor key_offsets;      // [examples + 1], ranges of key_rows
  std::vector<index_t> lengths;  // answer tokens of each example
  std::vector<index_t> row_counts;  // rows of each example

  [[nodiscard]] index_t examples() const { return static_cast<index_t>(lengths.size()); }
  /// Such a batch is for inference: rows of an example attend to rows of examples before it.
  [[nodiscard]] bool shares_rows() const { return !key_rows.absent(); }
};

/// Makes a batch example by example; one that `shares_rows` lists what each example attends to. Rows are numbered in the order in which
/// they are added, behind `rows_before` of earlier batches.
template <class X>
class token_batch_builder {
 public:
  token_batch_builder(index_t vocabulary, index_t context, bool shares_rows, index_t rows_before = 0)
      : vocabulary_(vocabulary), context_(context), shares_rows_(shares_rows), rows_before_(rows_before) {}

  /// `path` comes with the rows, if any, of the example's leading tokens that are there already, of which the last label's must be
  /// in this batch, and goes with the rows of all its tokens but the last.
  /// Throws expunge::error for an example without answer or context, a token outside [0, vocabulary) or a sequence longer than
  /// `context` rows.
  void add(const token_sequence& e, std::vector<std::int32_t>& path) {
    check(e);
    const std::size_t rows = e.tokens.size() - 1;
    path.resize(std::min(path.size(), rows));
    for (std::size_t i = path.size(); i < rows; ++i) {
      path.push_back(static_cast<std::int32_t>(rows_before_ + std::ssize(tokens_)));
      tokens_.push_back(e.tokens[i]);
      positions_.push_back(static_cast<std::int32_t>(i));
    }
    for (auto i = static_cast<std::size_t>(e.answer_begin); i <= rows; ++i) {
      label_rows_.push_back(static_cast<std::int32_t>(path[i - 1] - rows_before_));
      labels_.push_back(e.tokens[i]);
    }
    batch_.lengths.push_back(e.answer_length());
    batch_.row_counts.push_back(std::ssize(tokens_) - offsets_.back());
    offsets_.push_back(static_cast<std::int32_t>(tokens_.size()));
    label_offsets_.push_back(static_cast<std::int32_t>(labels_.size()));
    if (!shares_rows_) return;
    key_rows_.insert(key_rows_.end(), path.begin(), path.end());
    key_offsets_.push_back(static_cast<std::int32_t>(key_rows_.size()));
  }

  /// Throws expunge::error where no example was added.
  [[nodiscard]] token_batch<X> batch() && {
    require(!batch_.lengths.empty(), "a batch needs at least one example");
    batch_.tokens = made(tokens_);
    batch_.positions = made(positions_);
    batch_.offsets = made(offsets_);
    batch_.label_rows = made(label_rows_);
    batch_.labels = made(labels_);
    batch_.label_offsets = made(label_offsets_);
    if (shares_rows_) batch_.key_rows = made(key_rows_), batch_.key_offsets = made(key_offsets_);
    return std::move(batch_);
  }

 private:
  void check(const token_sequence& e) const {
    const auto length = static_cast<index_t>(e.tokens.size());
    require(e.answer_begin >= 1 && e.answer_begin < length, "an example of ", length, " tokens has its answer at ",
            e.answer_begin, ": it needs at least one token before and one token of answer");
    require(length - 1 <= context_, "an example of ", length, " tokens is longer than the model's context of ", context_,
            ": shorten the text or use another model");
    for (const std::int32_t token : e.tokens)
      require(token >= 0 && token < vocabulary_, "token id ", token, " is outside the model's vocabulary of ", vocabulary_,
              ": the tokenizer belongs to another model");
  }
  static typename X::index_tensor made(const std::vector<std::int32_t>& v) {
    return typename X::index_tensor(shape{static_cast<index_t>(v.size())}, v);
  }

  index_t vocabulary_, context_;
  bool shares_rows_;
  index_t rows_before_;
  std::vector<std::int32_t> tokens_, positions_, offsets_{0}, label_rows_, labels_, label_offsets_{0}, key_rows_, key_offsets_{0};
  token_batch<X> batch_;
};

/// Each example with rows of its own. Throws expunge::error as the builder does.
template <class X>
token_batch<X> make_token_batch(std::span<const token_sequence* const> examples, index_t vocabulary, index_t context) {
  token_batch_builder<X> builder(vocabulary, context, false);
  std::vector<std::int32_t> path;
  for (const token_sequence* e : examples) {
    path.clear();
    builder.add(*e, path);
  }
  return std::move(builder).batch();
}

/// Examples next to each other share the rows of the tokens with which both begin.
template <class X>
token_batch<X> make_shared_token_batch(std::span<const token_sequence* const> examples, index_t vocabulary, index_t context) {
  token_batch_builder<X> builder(vocabulary, context, true);
  std::vector<std::int32_t> path;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    if (i > 0) path.resize(std::min(path.size(), common_beginning(examples[i - 1]->tokens, examples[i]->tokens)));
    builder.add(*examples[i], path);
  }
  return std::move(builder).batch();
}

}  // namespace expunge::nn
