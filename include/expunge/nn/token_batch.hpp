// Ragged batches of token sequences: no padding, labels only where there is an answer; and batches whose examples share rows.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <numeric>
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

/// Examples laid end to end. The last token of each is only a label: rows are the tokens before it. Where examples share rows, one has
/// rows of its own from where it differs from those that stand before it, and ranges of rows may be in another order than the examples.
template <class X>
struct token_batch {
  using index_tensor = typename X::index_tensor;
  index_tensor tokens;           // [rows]
  index_tensor positions;        // [rows], in the example, from 0
  index_tensor offsets;          // [examples + 1], ranges of rows
  index_tensor label_rows;       // [labels], the row that predicts each label
  index_tensor labels;           // [labels]
  index_tensor label_offsets;    // [examples + 1], label ranges of the examples
  index_tensor key_rows;         // where examples share rows: for each range of rows those that it attends to, its own at the end
  index_tensor key_offsets;      // [examples + 1], ranges of key_rows
  std::vector<index_t> lengths;  // answer tokens of each example
  std::vector<index_t> row_counts, key_counts;  // of each range of rows; the latter where examples share rows
  index_t apart = 0;             // so many examples share rows among themselves alone, and theirs come first

  [[nodiscard]] index_t examples() const { return static_cast<index_t>(lengths.size()); }
  [[nodiscard]] bool shares_rows() const { return !key_rows.absent(); }
};

/// Makes a batch; one that `shares_rows` lists what rows attend to. Rows are numbered in the order in which they are added, behind
/// `rows_before` of earlier batches.
template <class X>
class token_batch_builder {
 public:
  token_batch_builder(index_t vocabulary, index_t context, bool shares_rows, index_t rows_before = 0)
      : vocabulary_(vocabulary), context_(context), shares_rows_(shares_rows), rows_before_(rows_before) {}

  /// Adds an example: its rows, then its labels.
  void add(const token_sequence& e, std::vector<std::int32_t>& path) {
    add_rows(e, path);
    add_labels(e, path);
  }
  /// `path` comes with the rows, if any, of the example's leading tokens that are there already, of which the last label's must be
  /// in this batch, and goes with the rows of all its tokens but the last.
  /// Throws expunge::error for an example without answer or context, a token outside [0, vocabulary) or a sequence longer than
  /// `context` rows.
  void add_rows(const token_sequence& e, std::vector<std::int32_t>& path) {
    check(e);
    const std::size_t rows = e.tokens.size() - 1;
    path.resize(std::min(path.size(), rows));
    for (std::size_t i = path.size(); i < rows; ++i) {
      path.push_back(static_cast<std::int32_t>(rows_before_ + std::ssize(tokens_)));
      tokens_.push_back(e.tokens[i]);
      positions_.push_back(static_cast<std::int32_t>(i));
    }
    batch_.row_counts.push_back(std::ssize(tokens_) - offsets_.back());
    offsets_.push_back(static_cast<std::int32_t>(tokens_.size()));
    if (!shares_rows_) return;
    batch_.key_counts.push_back(std::ssize(path));
    key_rows_.insert(key_rows_.end(), path.begin(), path.end());
    key_offsets_.push_back(static_cast<std::int32_t>(key_rows_.size()));
  }
  /// Examples are in the order in which their labels are added.
  void add_labels(const token_sequence& e, std::span<const std::int32_t> path) {
    for (auto i = static_cast<std::size_t>(e.answer_begin); i < e.tokens.size(); ++i) {
      label_rows_.push_back(static_cast<std::int32_t>(path[i - 1] - rows_before_));
      labels_.push_back(e.tokens[i]);
    }
    batch_.lengths.push_back(e.answer_length());
    label_offsets_.push_back(static_cast<std::int32_t>(labels_.size()));
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

/// The tokens of an example's rows.
inline std::span<const std::int32_t> row_tokens(const token_sequence& e) {
  return std::span(e.tokens).first(e.tokens.empty() ? 0 : e.tokens.size() - 1);
}

/// How the rows of examples begin alike, of the first `apart` (at most all) and of the others.
struct common_beginnings {
  std::vector<std::size_t> order;   // the first `apart`, then the others
  std::vector<std::size_t> common;  // in that order: how many tokens an example has in common with the one before it, as many as with any before it
  index_t apart;
  index_t rows = 0, shared_rows = 0;  // how many there are where examples share nothing, and where they share these
  index_t labels = 0;

  common_beginnings(std::span<const token_sequence* const> examples, index_t apart_)
      : order(examples.size()), common(examples.size()), apart(apart_) {
    std::iota(order.begin(), order.end(), std::size_t{0});
    const auto first = static_cast<std::size_t>(apart);
    for (const std::span<std::size_t> part : {std::span(order).first(first), std::span(order).subspan(first)})
      std::ranges::sort(part, [&](std::size_t a, std::size_t b) {
        const auto x = row_tokens(*examples[a]), y = row_tokens(*examples[b]);
        const auto compared = std::lexicographical_compare_three_way(x.begin(), x.end(), y.begin(), y.end());
        return compared != 0 ? compared < 0 : a < b;
      });
    for (std::size_t i = 0; i < order.size(); ++i) {
      const token_sequence& e = *examples[order[i]];
      if (i > 0 && i != first) common[i] = common_beginning(row_tokens(*examples[order[i - 1]]), row_tokens(e));
      rows += std::ssize(row_tokens(e));
      shared_rows += std::ssize(row_tokens(e)) - static_cast<index_t>(common[i]);
      labels += e.answer_length();
    }
  }

  /// Whether a training step gains by sharing: it saves an eighth of the rows at least. What is to be cut down to the first examples has more
  /// rows than labels (autodiff/batch_part.hpp).
  [[nodiscard]] bool pay() const { return 8 * shared_rows <= 7 * rows && (apart == 0 || shared_rows > labels); }
};

/// Examples share the rows of the tokens with which they begin alike.
template <class X>
token_batch<X> make_shared_token_batch(std::span<const token_sequence* const> examples, const common_beginnings& alike, index_t vocabulary, index_t context) {
  token_batch_builder<X> builder(vocabulary, context, true);
  std::vector<std::vector<std::int32_t>> paths(examples.size());
  for (std::size_t i = 0; i < examples.size(); ++i) {
    std::vector<std::int32_t>& path = paths[alike.order[i]];
    if (i > 0) path = paths[alike.order[i - 1]];
    path.resize(alike.common[i]);
    builder.add_rows(*examples[alike.order[i]], path);
  }
  for (std::size_t i = 0; i < examples.size(); ++i) builder.add_labels(*examples[i], paths[i]);
  token_batch<X> batch = std::move(builder).batch();
  batch.apart = alike.apart;
  return batch;
}

}  // namespace expunge::nn
