// A tokenizer from a Hugging Face tokenizer.json: byte-level BPE as in GPT-2, SmolLM2, Llama 3 and Qwen2.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "expunge/core/error.hpp"
#include "expunge/io/json.hpp"
#include "expunge/io/mapped_file.hpp"
#include "expunge/text/pre_tokenizer.hpp"
#include "expunge/text/tokenizer.hpp"
#include "expunge/text/tokenizer_json_parts.hpp"

namespace expunge::text {

/// The tokenizer that `json`, the text of a tokenizer.json, describes; `name` names it in messages.
/// Supported: model BPE; pre_tokenizer ByteLevel (without add_prefix_space), Digits, Split and Sequence; decoder ByteLevel;
/// post_processor ByteLevel, TemplateProcessing and Sequence; added_tokens with lstrip and rstrip; normalizer none, NFC and Sequence.
/// Throws expunge::error naming the part for anything else that would change ids, for malformed JSON and for tables that
/// contradict each other.
[[nodiscard]] inline tokenizer tokenizer_from_json(std::string_view json, const std::filesystem::path& name = "tokenizer.json") {
  const io::json root = io::parse_json(json, name);
  try {
    for (const char* key : {"truncation", "padding"})
      require(root[key].is_null(), key, " is not supported; set it to null");
    const std::string decoder = detail::json_type(root["decoder"], "decoder");
    require(decoder == "ByteLevel", "decoder ", decoder, " is not supported; ByteLevel is: ", supported_kinds);
    pre_tokenizer cutter;
    bool byte_level = false;
    detail::add_pre_tokenizer(root["pre_tokenizer"], cutter, byte_level);
    require(byte_level, "pre_tokenizer has no ByteLevel step; only byte-level BPE is supported");
    special_frame frame;
    detail::read_frame(root["post_processor"], frame);
    return {detail::read_bpe(root["model"]), std::move(cutter),
            detail::read_added_tokens(root["added_tokens"]), std::move(frame), detail::read_normalizer(root["normalizer"])};
  } catch (const error& e) {
    fail(name, ": ", e.what());
  }
}

/// The tokenizer of the file `path`, see tokenizer_from_json. Throws expunge::error also where the file cannot be read.
[[nodiscard]] inline tokenizer read_tokenizer_json(const std::filesystem::path& path) {
  return tokenizer_from_json(io::mapped_file(path).text(), path);
}

}  // namespace expunge::text
