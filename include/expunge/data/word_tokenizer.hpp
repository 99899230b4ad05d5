// A word-level tokenizer for small experiments: words and punctuation marks are tokens.
#pragma once

#include <cctype>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "expunge/core/error.hpp"

namespace expunge::data {

/// Ids are given in order of first appearance in the texts it is made from.
class word_tokenizer {
 public:
  explicit word_tokenizer(std::span<const std::string> texts) {
    for (const std::string& text : texts)
      for (std::string& word : words(text))
        if (ids_.emplace(word, static_cast<std::int32_t>(words_.size())).second) words_.push_back(std::move(word));
  }

  /// Throws expunge::error for a word that was in none of the texts.
  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text) const {
    std::vector<std::int32_t> out;
    for (const std::string& word : words(text)) {
      const auto found = ids_.find(word);
      require(found != ids_.end(), "word_tokenizer: the word '", word, "' is not in the vocabulary of ", words_.size());
      out.push_back(found->second);
    }
    return out;
  }

  /// Words with single spaces between. Throws expunge::error for an id outside the vocabulary.
  [[nodiscard]] std::string decode(std::span<const std::int32_t> ids) const {
    std::string out;
    for (const std::int32_t id : ids) {
      require(id >= 0 && static_cast<std::size_t>(id) < words_.size(), "word_tokenizer: no word has the id ", id);
      out += (out.empty() ? "" : " ") + words_[static_cast<std::size_t>(id)];
    }
    return out;
  }

  [[nodiscard]] std::size_t vocab_size() const { return words_.size(); }

 private:
  static std::vector<std::string> words(std::string_view text) {
    std::vector<std::string> out;
    bool open = false;
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (std::isspace(byte) != 0) {
        open = false;
      } else if (std::ispunct(byte) != 0) {
        out.emplace_back(1, c);
        open = false;
      } else {
        if (!open) out.emplace_back();
        out.back() += c;
        open = true;
      }
    }
    return out;
  }

  std::map<std::string, std::int32_t, std::less<>> ids_;
  std::vector<std::string> words_;
};

}  // namespace expunge::data
