// A tokenizer from the metadata of a GGUF file, passed as plain vectors so that this header need not know the format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/text/tokenizer.hpp"

namespace expunge::text {

/// Values of `tokenizer.ggml.token_type`.
enum class gguf_token_type : std::int32_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

/// Builds the tokenizer of a GGUF file whose `tokenizer.ggml.model` is "gpt2".
/// tokens:  `tokenizer.ggml.tokens`, the id is the position
/// merges:  `tokenizer.ggml.merges`, "left right" by rank
/// types:   `tokenizer.ggml.token_type`, one a token, or empty (all normal); control and user-defined tokens are cut out
///          of the text before BPE
/// pre:     `tokenizer.ggml.pre`: gpt2, smollm, llama-bpe or qwen2; llama-bpe also sets ignore_merges, as Llama 3 does
/// frame:   what encode(text, true) adds, from `add_bos_token`, `bos_token_id` and their like
/// Throws expunge::error where lengths differ, a merge is malformed, a token appears twice or the name is unknown.
[[nodiscard]] inline tokenizer tokenizer_from_gguf(std::span<const std::string> tokens, std::span<const std::string> merges,
                                                   std::span<const std::int32_t> types, std::string_view pre,
                                                   special_frame frame = {}) {
  require(!tokens.empty(), "tokenizer.ggml.tokens is empty");
  require(types.empty() || types.size() == tokens.size(), "tokenizer.ggml.token_type has ", types.size(),
          " entries for ", tokens.size(), " tokens");
  bpe::vocabulary vocab;
  std::vector<added_token> added;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    const auto type = types.empty() ? gguf_token_type::normal : static_cast<gguf_token_type>(types[i]);
    if (type == gguf_token_type::control || type == gguf_token_type::user_defined) {
      added.push_back({.id = id, .content = tokens[i], .special = type == gguf_token_type::control});
      continue;
    }
    const auto [at, fresh] = vocab.emplace(tokens[i], id);
    require(fresh, "tokenizer.ggml.tokens holds '", tokens[i], "' twice, at ", at->second, " and ", id);
  }
  bpe::merge_list pairs;
  pairs.reserve(merges.size());
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const std::string& merge = merges[rank];
    const std::size_t space = merge.find(' ');
    require(space != std::string::npos && space > 0 && space + 1 < merge.size() &&
                merge.find(' ', space + 1) == std::string::npos,
            "tokenizer.ggml.merges[", rank, "] is '", merge, "', expected two tokens with one space between");
    pairs.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  pre_tokenizer cutter = pre_tokenizer::named(pre);
  const bool ignore_merges = pre == "llama-bpe" || pre == "llama3";
  return {bpe(std::move(vocab), pairs, {.ignore_merges = ignore_merges, .unknown = {}}), std::move(cutter),
          std::move(added), std::move(frame)};
}

}  // namespace expunge::text
