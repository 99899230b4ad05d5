// Added and special tokens: literal strings that become one id each, cut out of the text before BPE sees it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "expunge/core/characters.hpp"
#include "expunge/core/error.hpp"
#include "expunge/text/utf8.hpp"

namespace expunge::text {

/// A literal token outside the merges.
struct added_token {
  std::int32_t id;
  std::string content;      // the exact text, not in the byte alphabet
  bool special = false;     // a control token such as <|endoftext|>: decode can leave it out
  bool strip_left = false;  // takes the white space before it along
  bool strip_right = false; // takes the white space after it along
  bool normalized = false;  // looked for in the normalized text, where the tokenizer normalizes
};

/// Finds added tokens in text: from left to right, at each place the longest.
class added_token_matcher {
 public:
  added_token_matcher() = default;

  /// Throws expunge::error where a token is empty or has a negative id.
  explicit added_token_matcher(std::vector<added_token> tokens) : tokens_(std::move(tokens)) {
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      const added_token& token = tokens_[i];
      require(!token.content.empty() && token.id >= 0, "the added token '", token.content, "' (id ", token.id,
              ") must have some text and an id of at least 0");
      by_first_byte_[static_cast<unsigned char>(token.content.front())].push_back(i);
    }
    for (auto& bucket : by_first_byte_)
      std::ranges::sort(bucket, {}, [this](std::size_t i) { return std::pair(std::string_view(tokens_[i].content), i); });
  }

  /// Cuts `text` (valid UTF-8): calls `on_text(std::string_view)` for the non-empty parts between tokens and
  /// `on_token(const added_token&)` for each token, in order. O(n) times the bytes of a token and the
  /// logarithm of the tokens that share a first byte.
  template <class OnText, class OnToken>
  void split(std::string_view text, OnText&& on_text, OnToken&& on_token) const {
    std::size_t done = 0;
    for (std::size_t i = 0; i < text.size();) {
      const added_token* token = longest_at(text, i);
      if (token == nullptr) {
        ++i;
        continue;
      }
      std::size_t begin = i;
      std::size_t end = i + token->content.size();
      if (token->strip_left) begin = space_before(text, begin, done);
      if (token->strip_right) end = space_after(text, end);
      if (begin > done) on_text(text.substr(done, begin - done));
      on_token(*token);
      done = i = end;
    }
    if (done < text.size()) on_text(text.substr(done));
  }

 private:
  [[nodiscard]] const added_token* longest_at(std::string_view text, std::size_t position) const {
    const auto byte_at = [](std::string_view s, std::size_t i) { return i < s.size() ? static_cast<unsigned char>(s[i]) : -1; };
    const added_token* longest = nullptr;
    std::span<const std::size_t> alike = by_first_byte_[static_cast<unsigned char>(text[position])];  // begin as the text here; sorted
    for (std::size_t size = 1; !alike.empty(); ++size) {
      if (tokens_[alike.front()].content.size() == size) longest = &tokens_[alike.front()];
      const int next = byte_at(text, position + size);
      if (next < 0) break;
      const auto byte_of = [&](std::size_t i) { return byte_at(tokens_[i].content, size); };
      const auto begin = std::ranges::lower_bound(alike, next, {}, byte_of), end = std::ranges::upper_bound(alike, next, {}, byte_of);
      alike = {begin, end};
    }
    return longest;
  }

  static std::size_t space_after(std::string_view text, std::size_t end) {
    while (end < text.size()) {
      const code_point c = decode_utf8(text, end);
      if (!is_white_space(c.value)) break;
      end += c.length;
    }
    return end;
  }

  static std::size_t space_before(std::string_view text, std::size_t begin, std::size_t floor) {
    while (begin > floor) {
      std::size_t start = begin - 1;
      while (start > floor && is_continuation(text[start])) --start;
      if (!is_white_space(decode_utf8(text, start).value)) break;
      begin = start;
    }
    return begin;
  }

  std::vector<added_token> tokens_;
  std::array<std::vector<std::size_t>, 256> by_first_byte_;
};

}  // namespace expunge::text
