// A tokenizer.json from the tokenizer of a GGUF file, for the tokenizers package and our own reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/io/json.hpp"
#include "expunge/text/pre_tokenizer.hpp"
#include "expunge/text/tokenizer_gguf.hpp"
#include "expunge/text/utf8.hpp"

namespace expunge::text {

namespace detail {

/// Adds an item to the text of a list.
inline void append_item(std::string& list, const std::string& item) { list += (list.empty() ? "" : ",") + item; }

inline std::string byte_level_json(bool use_regex) {
  return std::string(R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":)") + (use_regex ? "true}" : "false}");
}

/// What pre_tokenizer::named(pre) does.
inline std::string pre_tokenizer_json(std::string_view pre) {
  const auto sequence = [](const std::string& first, bool use_regex) {
    return R"({"type":"Sequence","pretokenizers":[)" + first + "," + byte_level_json(use_regex) + "]}";
  };
  const auto split = [&](std::string_view pattern) {
    return sequence(R"({"type":"Split","behavior":"Isolated","invert":false,"pattern":{"Regex":)" + io::json_string_of(pattern) + "}}", false);
  };
  if (pre == "smollm") return sequence(R"({"type":"Digits","individual_digits":true})", true);
  if (pre == "qwen2") return split(qwen2_pattern);
  return is_llama3(pre) ? split(llama3_pattern) : byte_level_json(true);
}

/// Puts the frame around a text, and around the first of a pair.
inline std::string post_processor_json(std::span<const std::string> tokens, const special_frame& frame) {
  if (frame.before.empty() && frame.after.empty()) return byte_level_json(true);
  std::string pieces, members;
  std::map<std::string, std::string> special;
  const auto put = [&](const std::vector<std::int32_t>& ids) {
    for (const std::int32_t id : ids) {
      require(id >= 0 && id < std::ssize(tokens), "the token id ", id, " around a text is not in the vocabulary of ", tokens.size(), " ids");
      const std::string name = io::json_string_of(tokens[static_cast<std::size_t>(id)]);
      append_item(pieces, R"({"SpecialToken":{"type_id":0,"id":)" + name + "}}");
      special[name] = "{\"id\":" + name + ",\"ids\":[" + std::to_string(id) + "],\"tokens\":[" + name + "]}";
    }
  };
  put(frame.before);
  append_item(pieces, R"({"Sequence":{"id":"A","type_id":0}})");
  put(frame.after);
  for (const auto& [name, value] : special) append_item(members, name + ":" + value);
  return R"({"type":"TemplateProcessing","single":[)" + pieces + R"(],"pair":[)" + pieces + R"(,{"Sequence":{"id":"B","type_id":1}}],"special_tokens":{)" +
         members + "}}";
}

}  // namespace detail

/// Arguments as tokenizer_from_gguf, which it encodes alike, but where a control or user-defined token is written as the symbol of a byte,
/// which then becomes that token too. Throws expunge::error for an unknown `pre` and for a token that is not UTF-8 or appears twice.
[[nodiscard]] inline std::string tokenizer_json_of_gguf(std::span<const std::string> tokens, std::span<const std::string> merges,
                                                        std::span<const std::int32_t> types, std::string_view pre,
                                                        const special_frame& frame = {}) {
  static_cast<void>(pre_tokenizer::named(pre));  // refuses unknown names
  const auto kinds = detail::token_types(types, tokens.size());
  std::string vocabulary, added;
  std::unordered_set<std::string_view> seen;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (!is_valid_utf8(tokens[i])) fail("tokenizer.ggml.tokens: '", to_valid_utf8(tokens[i]), "', at ", i, ", is not UTF-8, as tokenizer.json is");
    require(seen.insert(tokens[i]).second, "tokenizer.ggml.tokens holds '", tokens[i], "' twice, again at ", i,
            ", and a tokenizer.json cannot: give one of them another text");
    const std::string token = io::json_string_of(tokens[i]), id = std::to_string(i);
    detail::append_item(vocabulary, token + ":" + id);
    const auto type = kinds[i];
    if (type != gguf_token_type::control && type != gguf_token_type::user_defined) continue;
    detail::append_item(added, R"({"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"id":)" + id + ",\"content\":" + token +
                      ",\"special\":" + (type == gguf_token_type::control ? "true}" : "false}"));
  }

  return R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[)" + added + R"(],"normalizer":)" +
         (pre == "qwen2" ? R"({"type":"NFC"})" : "null") + R"(,"pre_tokenizer":)" + detail::pre_tokenizer_json(pre) +
         R"(,"post_processor":)" + detail::post_processor_json(tokens, frame) + R"(,"decoder":)" + detail::byte_level_json(true) +
         R"(,"model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,)"
         R"("byte_fallback":false,"ignore_merges":)" + (is_llama3(pre) ? "true" : "false") + R"(,"vocab":{)" + vocabulary + R"(},"merges":)" +
         io::json_strings_of(merges) + "}}";
}

}  // namespace expunge::text
