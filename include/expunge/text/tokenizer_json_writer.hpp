// A tokenizer.json from the tokenizer of a GGUF file, for the tokenizers package and our own reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "expunge/text/pre_tokenizer.hpp"
#include "expunge/text/tokenizer_gguf.hpp"

namespace expunge::text {

/// Arguments as tokenizer_from_gguf, which it encodes alike. Throws expunge::error for an unknown `pre`.
[[nodiscard]] inline std::string tokenizer_json_of_gguf(std::span<const std::string> tokens, std::span<const std::string> merges,
                                                        std::span<const std::int32_t> types, std::string_view pre,
                                                        const special_frame& frame = {}) {
  using nlohmann::json;
  static_cast<void>(pre_tokenizer::named(pre));  // refuses unknown names
  const auto parsed = [](std::string_view text) { return json::parse(text); };
  const auto byte_level = [&](bool use_regex) {
    json step = parsed(R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true})");
    step["use_regex"] = use_regex;
    return step;
  };
  const bool llama3 = pre == "llama-bpe" || pre == "llama3";
  json out = parsed(R"({
    "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
    "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
              "fuse_unk": false, "byte_fallback": false, "vocab": {}, "merges": []}})");
  out["model"]["ignore_merges"] = llama3;
  out["decoder"] = out["post_processor"] = out["pre_tokenizer"] = byte_level(true);
  if (pre == "smollm") {
    out["pre_tokenizer"] = parsed(R"({"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true}]})");
    out["pre_tokenizer"]["pretokenizers"].push_back(byte_level(true));
  } else if (llama3 || pre == "qwen2") {
    out["pre_tokenizer"] = parsed(R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "behavior": "Isolated", "invert": false}]})");
    json& steps = out["pre_tokenizer"]["pretokenizers"];
    steps[0]["pattern"]["Regex"] = std::string(llama3 ? llama3_pattern : qwen2_pattern);
    steps.push_back(byte_level(false));
  }
  if (pre == "qwen2") out["normalizer"] = parsed(R"({"type": "NFC"})");

  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto type = types.empty() ? gguf_token_type::normal : static_cast<gguf_token_type>(types[i]);
    out["model"]["vocab"][tokens[i]] = i;
    if (type != gguf_token_type::control && type != gguf_token_type::user_defined) continue;
    json token = parsed(R"({"single_word": false, "lstrip": false, "rstrip": false, "normalized": false})");
    token["id"] = i;
    token["content"] = tokens[i];
    token["special"] = type == gguf_token_type::control;
    out["added_tokens"].push_back(token);
  }
  out["model"]["merges"] = std::vector<std::string>(merges.begin(), merges.end());

  if (!frame.before.empty() || !frame.after.empty()) {
    json post = parsed(R"({"type": "TemplateProcessing", "single": [], "special_tokens": {}})");
    const auto put = [&](const std::vector<std::int32_t>& ids) {
      for (const std::int32_t id : ids) {
        const std::string& name = tokens[static_cast<std::size_t>(id)];
        json piece = parsed(R"({"SpecialToken": {"type_id": 0}})"), special = json::object();
        piece["SpecialToken"]["id"] = special["id"] = name;
        special["ids"].push_back(id);
        special["tokens"].push_back(name);
        post["single"].push_back(piece);
        post["special_tokens"][name] = special;
      }
    };
    put(frame.before);
    post["single"].push_back(parsed(R"({"Sequence": {"id": "A", "type_id": 0}})"));
    put(frame.after);
    post["pair"] = post["single"];
    post["pair"].push_back(parsed(R"({"Sequence": {"id": "B", "type_id": 1}})"));
    out["post_processor"] = post;
  }
  return out.dump();
}

}  // namespace expunge::text
