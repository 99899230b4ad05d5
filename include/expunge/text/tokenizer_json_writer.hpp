// A tokenizer.json from the tokenizer of a GGUF file, for the tokenizers package and our own reader.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "expunge/text/pre_tokenizer.hpp"
#include "expunge/text/tokenizer_gguf.hpp"

namespace expunge::text {

/// Arguments as tokenizer_from_gguf, which it encodes alike. Throws expunge::error for an unknown `pre`.
[[nodiscard]] inline std::string tokenizer_json_of_gguf(std::span<const std::string> tokens, std::span<const std::string> merges,
                                                        std::span<const std::int32_t> types, std::string_view pre,
                                                        const special_frame& frame = {}) {
  using json = nlohmann::json;
  static_cast<void>(pre_tokenizer::named(pre));  // refuses unknown names
  const json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  json cutter = byte_level;
  const bool llama3 = pre == "llama-bpe" || pre == "llama3";
  if (pre == "smollm") {
    cutter = {{"type", "Sequence"}, {"pretokenizers", {{{"type", "Digits"}, {"individual_digits", true}}, byte_level}}};
  } else if (llama3 || pre == "qwen2") {
    json bytes_only = byte_level;
    bytes_only["use_regex"] = false;
    const json split = {{"type", "Split"}, {"pattern", {{"Regex", llama3 ? llama3_pattern : qwen2_pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
    cutter = {{"type", "Sequence"}, {"pretokenizers", {split, bytes_only}}};
  }
  json vocab = json::object(), added = json::array(), pairs = json::array();
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto type = types.empty() ? gguf_token_type::normal : static_cast<gguf_token_type>(types[i]);
    vocab[tokens[i]] = i;
    if (type == gguf_token_type::control || type == gguf_token_type::user_defined)
      added.push_back({{"id", i}, {"content", tokens[i]}, {"single_word", false}, {"lstrip", false}, {"rstrip", false},
                       {"normalized", false}, {"special", type == gguf_token_type::control}});
  }
  for (const std::string& merge : merges) pairs.push_back(merge);
  json post = byte_level;
  if (!frame.before.empty() || !frame.after.empty()) {
    json single = json::array(), specials = json::object();
    const auto put = [&](const std::vector<std::int32_t>& ids) {
      for (const std::int32_t id : ids) {
        const std::string& name = tokens[static_cast<std::size_t>(id)];
        single.push_back({{"SpecialToken", {{"id", name}, {"type_id", 0}}}});
        specials[name] = {{"id", name}, {"ids", {id}}, {"tokens", {name}}};
      }
    };
    put(frame.before);
    single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
    put(frame.after);
    json pair = single;
    pair.push_back({{"Sequence", {{"id", "B"}, {"type_id", 1}}}});
    post = {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", specials}};
  }
  const json out = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}, {"added_tokens", added},
                    {"normalizer", pre == "qwen2" ? json{{"type", "NFC"}} : json(nullptr)}, {"pre_tokenizer", cutter},
                    {"post_processor", post}, {"decoder", byte_level},
                    {"model", {{"type", "BPE"}, {"dropout", nullptr}, {"unk_token", nullptr}, {"continuing_subword_prefix", nullptr},
                               {"end_of_word_suffix", nullptr}, {"fuse_unk", false}, {"byte_fallback", false}, {"ignore_merges", llama3},
                               {"vocab", vocab}, {"merges", pairs}}}};
  return out.dump();
}

}  // namespace expunge::text
