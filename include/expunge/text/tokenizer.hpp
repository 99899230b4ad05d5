// A byte-level BPE tokenizer as a value: text to token ids and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/text/added_tokens.hpp"
#include "expunge/text/bpe.hpp"
#include "expunge/text/byte_alphabet.hpp"
#include "expunge/text/normalization.hpp"
#include "expunge/text/pre_tokenizer.hpp"
#include "expunge/text/utf8.hpp"

namespace expunge::text {

/// For messages about tokenizers of other kinds.
inline constexpr std::string_view supported_kinds =
    "byte-level BPE as of Llama 3, SmolLM2, Qwen2 and GPT-2 can be read, SentencePiece as of Llama 1 and 2, Mistral and Gemma cannot";

/// Ids that encode(text, true) puts around the text.
struct special_frame {
  std::vector<std::int32_t> before;  // for instance <|begin_of_text|>
  std::vector<std::int32_t> after;   // for instance </s>
};

/// What decode does with control tokens.
enum class special_tokens { keep, skip };

/// A tokenizer made of a BPE model, a pre-tokenizer and added tokens. Copyable; const members may be called from many threads.
/// tokenizer_json.hpp and tokenizer_gguf.hpp make one from files.
class tokenizer {
 public:
  /// Throws expunge::error where an added token is empty or two tokens claim one id with different texts.
  tokenizer(bpe model, pre_tokenizer cutter, std::vector<added_token> added = {}, special_frame frame = {},
            normalization form = normalization::none)
      : model_(std::move(model)), cutter_(std::move(cutter)), added_(std::move(added)), frame_(std::move(frame)), form_(form) {
    std::vector<added_token> raw, normalized;
    for (added_token token : added_) {
      if (token.normalized) token.content = normalize(token.content);
      (token.normalized ? normalized : raw).push_back(std::move(token));
    }
    in_text_ = added_token_matcher(std::move(raw));
    in_normalized_ = added_token_matcher(std::move(normalized));
    for (const auto& [token, id] : model_.vocab()) {
      entry& e = at(id);
      require(!e.known, "the tokens '", token, "' and '", e.bytes, "' share the id ", id);
      e = {symbols_to_bytes(token).value_or(token), true, false};
    }
    for (const added_token& token : added_) {
      entry& e = at(token.id);
      const auto in_vocab = model_.find(token.content);
      require(!e.known || e.bytes == token.content || in_vocab == token.id, "the added token '", token.content,
              "' has the id ", token.id, ", which belongs to '", e.bytes, "'");
      e = {token.content, true, token.special};
    }
    for (const auto* ids : {&frame_.before, &frame_.after})
      for (const std::int32_t id : *ids) static_cast<void>(known(id));
  }

  /// The ids of `text`. Added tokens in the text become their ids, those that are `normalized` in what is left after the
  /// others and after normalization; with `add_special` the frame goes around it. Broken UTF-8 is read as U+FFFD.
  /// Throws expunge::error only where the regular expression gives up or memory runs out.
  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text, bool add_special = false) const {
    std::vector<std::int32_t> ids;
    ids.reserve(text.size() / 3 + 2);
    if (add_special) ids = frame_.before;
    const std::string valid = to_valid_utf8(text);
    const auto on_token = [&](const added_token& token) { ids.push_back(token.id); };
    const auto on_words = [&](std::string_view words) {
      cutter_.for_each_piece(words, [&](std::string_view piece) { model_.encode(piece, ids); });
    };
    in_text_.split(valid, [&](std::string_view part) { in_normalized_.split(normalize(part), on_words, on_token); }, on_token);
    if (add_special) ids.insert(ids.end(), frame_.after.begin(), frame_.after.end());
    return ids;
  }

  /// `text` as it is cut into tokens: valid UTF-8, normalized where the tokenizer does so.
  [[nodiscard]] std::string normalize(std::string_view text) const {
    return form_ == normalization::nfc ? to_nfc(text) : to_valid_utf8(text);
  }

  /// The bytes of `ids`, which need not be whole characters: what a stream of tokens is assembled from.
  /// Throws expunge::error for an id outside the vocabulary.
  [[nodiscard]] std::string decode_bytes(std::span<const std::int32_t> ids,
                                         special_tokens specials = special_tokens::keep) const {
    std::string out;
    for (const std::int32_t id : ids) {
      const entry& e = known(id);
      if (!(e.special && specials == special_tokens::skip)) out += e.bytes;
    }
    return out;
  }

  /// The text of `ids` as valid UTF-8: broken parts (a character cut in two) become U+FFFD. Throws as decode_bytes.
  [[nodiscard]] std::string decode(std::span<const std::int32_t> ids, special_tokens specials = special_tokens::keep) const {
    return to_valid_utf8(decode_bytes(ids, specials));
  }

  /// The id of a token given as plain text ("<|im_end|>", " the"), if it is one token of the vocabulary.
  [[nodiscard]] std::optional<std::int32_t> id_of(std::string_view token) const {
    for (const added_token& t : added_)
      if (t.content == token) return t.id;
    return model_.find(bytes_to_symbols(token));
  }

  /// One more than the largest id: the rows an embedding needs at least.
  [[nodiscard]] std::size_t vocab_size() const noexcept { return entries_.size(); }

  [[nodiscard]] const special_frame& frame() const noexcept { return frame_; }

 private:
  struct entry {
    std::string bytes;
    bool known = false;
    bool special = false;
  };

  entry& at(std::int32_t id) {
    constexpr std::int32_t limit = 1 << 22;  // a mistaken id must not allocate gigabytes
    require(id >= 0 && id < limit, "the token id ", id, " is outside 0 .. ", limit - 1);
    const auto index = static_cast<std::size_t>(id);
    if (index >= entries_.size()) entries_.resize(index + 1);
    return entries_[index];
  }

  [[nodiscard]] const entry& known(std::int32_t id) const {
    const auto index = static_cast<std::size_t>(id);
    require(id >= 0 && index < entries_.size() && entries_[index].known, "the token id ", id,
            " is not in the vocabulary of ", entries_.size(), " ids");
    return entries_[index];
  }

  bpe model_;
  pre_tokenizer cutter_;
  std::vector<added_token> added_;
  special_frame frame_;
  normalization form_;
  added_token_matcher in_text_, in_normalized_;
  std::vector<entry> entries_;
};

}  // namespace expunge::text
