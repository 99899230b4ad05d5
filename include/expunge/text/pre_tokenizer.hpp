// Pre-tokenization: cuts text into the pieces inside which BPE merges, with the regular expressions of GPT-2, SmolLM2,
// Llama 3 and Qwen2.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/text/unicode_regex.hpp"
#include "expunge/text/utf8.hpp"

namespace expunge::text {

/// GPT-2 (Radford et al. 2019): contractions, words, numbers and punctuation, each with one leading space.
inline constexpr std::string_view gpt2_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
/// One digit, or any other numeric character (SmolLM2, before the GPT-2 pattern).
inline constexpr std::string_view digit_pattern = R"(\p{N})";
/// Llama 3: numbers in groups of up to three digits, line breaks kept together.
inline constexpr std::string_view llama3_pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
/// Qwen2 and Qwen2.5: as Llama 3, but every digit alone.
inline constexpr std::string_view qwen2_pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// A sequence of splitting steps; each cuts every piece of the step before. The default has no step: one piece.
class pre_tokenizer {
 public:
  /// What becomes of the text between two matches.
  enum class gaps { keep, drop };

  pre_tokenizer() = default;

  /// Adds a step that makes every match of `pattern` a piece of its own; an empty one cuts. Returns *this. Throws as unicode_regex does.
  pre_tokenizer& split(std::string_view pattern, gaps between = gaps::keep) {
    constexpr std::size_t most = 64;  // each is a level of recursion
    require(steps_.size() < most, "a pre-tokenizer of more than ", most, " steps is not supported");
    steps_.push_back({unicode_regex(pattern), between});
    return *this;
  }

  static pre_tokenizer gpt2() { return std::move(pre_tokenizer{}.split(gpt2_pattern)); }
  static pre_tokenizer smollm() { return std::move(pre_tokenizer{}.split(digit_pattern).split(gpt2_pattern)); }
  static pre_tokenizer llama3() { return std::move(pre_tokenizer{}.split(llama3_pattern)); }
  static pre_tokenizer qwen2() { return std::move(pre_tokenizer{}.split(qwen2_pattern)); }

  /// The pre-tokenizer of a GGUF file's `tokenizer.ggml.pre`: gpt2 (also gpt-2), smollm, llama-bpe (also llama3) or qwen2.
  /// Throws expunge::error for another name.
  static pre_tokenizer named(std::string_view name) {
    if (name == "gpt2" || name == "gpt-2") return gpt2();
    if (name == "smollm") return smollm();
    if (name == "llama-bpe" || name == "llama3") return llama3();
    if (name == "qwen2") return qwen2();
    fail("unknown pre-tokenizer '", name, "'; supported are gpt2, smollm, llama-bpe and qwen2");
  }

  /// Calls `visit(std::string_view piece)` for the non-empty pieces of `text` in order. `text` must be valid UTF-8
  /// (to_valid_utf8 makes it so); the views point into it. Throws as unicode_regex::for_each_match does.
  template <class Visit>
  void for_each_piece(std::string_view text, Visit&& visit) const {
    apply(0, text, visit);
  }

  /// The pieces of `text` as strings; broken UTF-8 is replaced by U+FFFD first.
  [[nodiscard]] std::vector<std::string> pieces(std::string_view text) const {
    std::vector<std::string> out;
    const std::string valid = to_valid_utf8(text);
    for_each_piece(valid, [&out](std::string_view piece) { out.emplace_back(piece); });
    return out;
  }

 private:
  struct step {
    unicode_regex pattern;
    gaps between;
  };

  template <class Visit>
  void apply(std::size_t index, std::string_view text, Visit& visit) const {
    if (text.empty()) return;
    if (index == steps_.size()) {
      visit(text);
      return;
    }
    const step& current = steps_[index];
    std::size_t done = 0;
    const auto gap = [&](std::size_t end) {
      if (current.between == gaps::keep) apply(index + 1, text.substr(done, end - done), visit);
    };
    current.pattern.for_each_match(text, [&](unicode_regex::match m) {
      gap(m.begin);
      apply(index + 1, text.substr(m.begin, m.end - m.begin), visit);
      done = m.end;
    });
    gap(text.size());
  }

  std::vector<step> steps_;
};

}  // namespace expunge::text
