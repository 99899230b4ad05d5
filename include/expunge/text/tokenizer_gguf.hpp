// A tokenizer from the metadata of a GGUF file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/io/gguf_metadata.hpp"
#include "expunge/text/tokenizer.hpp"

namespace expunge::text {

/// Values of `tokenizer.ggml.token_type`.
enum class gguf_token_type : std::int32_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

/// Whether `tokenizer.ggml.pre` names Llama 3's.
[[nodiscard]] inline bool is_llama3(std::string_view pre) { return pre == "llama-bpe" || pre == "llama3"; }

namespace detail {
/// The types of `count` tokens: all normal where none are given. Throws expunge::error where they are not as many.
[[nodiscard]] inline std::vector<gguf_token_type> token_types(std::span<const std::int32_t> types, std::size_t count) {
  require(types.empty() || types.size() == count, "tokenizer.ggml.token_type has ", types.size(), " entries for ", count, " tokens");
  std::vector<gguf_token_type> out(count, gguf_token_type::normal);
  for (std::size_t i = 0; i < types.size(); ++i) out[i] = static_cast<gguf_token_type>(types[i]);
  return out;
}
}  // namespace detail

/// Builds the tokenizer of a GGUF file whose `tokenizer.ggml.model` is "gpt2".
/// tokens:  `tokenizer.ggml.tokens`, the id is the position
/// merges:  `tokenizer.ggml.merges`, "left right" by rank
/// types:   `tokenizer.ggml.token_type`, one a token, or empty (all normal); control and user-defined tokens are cut out
///          of the text before BPE
/// pre:     `tokenizer.ggml.pre`: gpt2, smollm, llama-bpe or qwen2; llama-bpe also sets ignore_merges, as Llama 3 does,
///          and qwen2 normalizes to NFC, as Qwen2 does
/// frame:   what encode(text, true) adds, from `add_bos_token`, `bos_token_id` and their like
/// Throws expunge::error where lengths differ, a merge is malformed, a token appears twice or the name is unknown.
[[nodiscard]] inline tokenizer tokenizer_from_gguf(std::span<const std::string> tokens, std::span<const std::string> merges,
                                                   std::span<const std::int32_t> types, std::string_view pre,
                                                   special_frame frame = {}) {
  require(!tokens.empty(), "tokenizer.ggml.tokens is empty");
  const auto kinds = detail::token_types(types, tokens.size());
  bpe::vocabulary vocab;
  std::vector<added_token> added;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    const auto type = kinds[i];
    if (type == gguf_token_type::control || type == gguf_token_type::user_defined) {
      added.push_back({.id = id, .content = tokens[i], .special = type == gguf_token_type::control});
      continue;
    }
    const auto [at, fresh] = vocab.emplace(tokens[i], id);
    require(fresh, "tokenizer.ggml.tokens holds '", tokens[i], "' twice, at ", at->second, " and ", id);
  }
  bpe::merge_list pairs;
  pairs.reserve(merges.size());
  for (const std::string& merge : merges) pairs.push_back(parse_merge(merge));
  pre_tokenizer cutter = pre_tokenizer::named(pre);
  return {bpe(std::move(vocab), pairs, {.ignore_merges = is_llama3(pre), .unknown = {}}), std::move(cutter),
          std::move(added), std::move(frame), pre == "qwen2" ? normalization::nfc : normalization::none};
}

/// What encode(text, true) puts around a text in a GGUF file with this metadata: bos_token_id first where add_bos_token is set, and
/// eos_token_id last where add_eos_token is; without add_bos_token only llama-bpe has it set, as in llama.cpp. Throws expunge::error
/// where such an id is missing.
[[nodiscard]] inline special_frame gguf_frame(const io::gguf_metadata& metadata, std::string_view pre) {
  special_frame frame;
  if (metadata.get_or("tokenizer.ggml.add_bos_token", is_llama3(pre)))
    frame.before.push_back(metadata.get<std::int32_t>("tokenizer.ggml.bos_token_id"));
  if (metadata.get_or("tokenizer.ggml.add_eos_token", false))
    frame.after.push_back(metadata.get<std::int32_t>("tokenizer.ggml.eos_token_id"));
  return frame;
}

}  // namespace expunge::text
