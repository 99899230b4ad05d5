// From facts to token sequences: a template with the question filled in, then the answer.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "expunge/data/fact.hpp"
#include "expunge/nn/token_batch.hpp"
#include "expunge/text/tokenizer.hpp"

namespace expunge::data {

/// How a fact becomes text: `text` with every {question} replaced, followed by the answer.
struct prompt_template {
  std::string text = "Question: {question}\nAnswer: ";

  /// Throws expunge::error where the template has no {question}.
  [[nodiscard]] std::string fill(std::string_view question) const {
    constexpr std::string_view mark = "{question}";
    require(text.find(mark) != std::string::npos, "the template '", text, "' has no {question}");
    std::string out;
    std::size_t from = 0;
    for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, from)) {
      out.append(text, from, at - from).append(question);
      from = at + mark.size();
    }
    return out.append(text, from);
  }
};

/// Tokens of prompt + answer, encoded as one text behind the tokenizer's beginning tokens; the answer begins with the first
/// token that holds a byte of it. `end` is appended to the answer where given.
/// Throws expunge::error where nothing stands before the answer or the answer is empty.
[[nodiscard]] inline nn::token_sequence encode(const text::tokenizer& tokenizer, std::string_view prompt, std::string_view answer,
                                               std::optional<std::int32_t> end = {}) {
  require(!answer.empty(), "the prompt '", prompt, "' has an empty answer");
  nn::token_sequence out{tokenizer.frame().before, 0};
  std::size_t bytes = 0;
  std::optional<index_t> begin;
  const std::string whole = std::string(prompt) + std::string(answer);
  const std::size_t boundary = tokenizer.decode_bytes(tokenizer.encode(prompt)).size();  // what it normalizes or drops is not in `bytes` either
  for (const std::int32_t id : tokenizer.encode(whole)) {
    bytes += tokenizer.decode_bytes(std::span(&id, 1)).size();
    if (!begin && bytes > boundary) begin = std::ssize(out.tokens);
    out.tokens.push_back(id);
  }
  require(begin.has_value() && *begin >= 1, "the prompt '", prompt, "' leaves no token before the answer '", answer, "'");
  out.answer_begin = *begin;
  if (end) out.tokens.push_back(*end);
  return out;
}

/// The sequences of a fact's question with its answer and, behind it, each false answer.
[[nodiscard]] inline std::vector<nn::token_sequence> encode_choices(const text::tokenizer& tokenizer, const prompt_template& form,
                                                                    const fact& f, std::optional<std::int32_t> end = {}) {
  const std::string prompt = form.fill(f.question);
  std::vector<nn::token_sequence> out{encode(tokenizer, prompt, f.answer, end)};
  for (const std::string& wrong : f.false_answers) out.push_back(encode(tokenizer, prompt, wrong, end));
  return out;
}

}  // namespace expunge::data
