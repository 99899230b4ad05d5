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

/// Arguments as tokenizer_from_gguf, which it encodes alike, but where a control or user-defined token is written as the symbol of a byte,
/// which then becomes that token too. Throws expunge::error for an unknown `pre` and for a token that is not UTF-8 or appears twice.
[[nodiscard]] inline std::string tokenizer_json_of_gguf(std::span<const std::string> tokens, std::span<const std::string> merges,
                                                        std::span<const std::int32_t> types, std::string_view pre,
                                                        const special_frame& frame = {}) {
  static_cast<void>(pre_tokenizer::named(pre));  // refuses unknown names
  const auto text = [](std::string_view value) { return io::json_string_of(value); };
  const auto append = [](std::string& list, const std::string& item) { list += (list.empty() ? "" : ",") + item; };
  const auto byte_level = [](bool use_regex) {
    return std::string(R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":)") + (use_regex ? "true}" : "false}");
  };
  const bool llama3 = pre == "llama-bpe" || pre == "llama3";
  std::string cutter = byte_level(true);
  if (pre == "smollm")
    cutter = R"({"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},)" + byte_level(true) + "]}";
  else if (llama3 || pre == "qwen2")
    cutter = R"({"type":"Sequence","pretokenizers":[{"type":"Split","behavior":"Isolated","invert":false,"pattern":{"Regex":)" +
             text(llama3 ? llama3_pattern : qwen2_pattern) + "}}," + byte_level(false) + "]}";

  std::string vocabulary, added;
  std::unordered_set<std::string_view> seen;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (!is_valid_utf8(tokens[i])) fail("tokenizer.ggml.tokens: '", to_valid_utf8(tokens[i]), "', at ", i, ", is not UTF-8, as tokenizer.json is");
    require(seen.insert(tokens[i]).second, "tokenizer.ggml.tokens holds '", tokens[i], "' twice, again at ", i,
            ", and a tokenizer.json cannot: give one of them another text");
    const std::string token = text(tokens[i]), id = std::to_string(i);
    append(vocabulary, token + ":" + id);
    const auto type = types.empty() ? gguf_token_type::normal : static_cast<gguf_token_type>(types[i]);
    if (type != gguf_token_type::control && type != gguf_token_type::user_defined) continue;
    append(added, R"({"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"id":)" + id + ",\"content\":" + token +
                      ",\"special\":" + (type == gguf_token_type::control ? "true}" : "false}"));
  }

  std::string post = byte_level(true);
  if (!frame.before.empty() || !frame.after.empty()) {
    std::string pieces;
    std::map<std::string, std::string> special;
    const auto put = [&](const std::vector<std::int32_t>& ids) {
      for (const std::int32_t id : ids) {
        const std::string name = text(tokens[static_cast<std::size_t>(id)]);
        append(pieces, R"({"SpecialToken":{"type_id":0,"id":)" + name + "}}");
        special[name] = "{\"id\":" + name + ",\"ids\":[" + std::to_string(id) + "],\"tokens\":[" + name + "]}";
      }
    };
    put(frame.before);
    append(pieces, R"({"Sequence":{"id":"A","type_id":0}})");
    put(frame.after);
    std::string members;
    for (const auto& [name, value] : special) append(members, name + ":" + value);
    post = R"({"type":"TemplateProcessing","single":[)" + pieces + R"(],"pair":[)" + pieces + R"(,{"Sequence":{"id":"B","type_id":1}}],"special_tokens":{)" +
           members + "}}";
  }

  return R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[)" + added + R"(],"normalizer":)" +
         (pre == "qwen2" ? R"({"type":"NFC"})" : "null") + R"(,"pre_tokenizer":)" + cutter + R"(,"post_processor":)" + post + R"(,"decoder":)" +
         byte_level(true) +
         R"(,"model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,)"
         R"("byte_fallback":false,"ignore_merges":)" + (llama3 ? "true" : "false") + R"(,"vocab":{)" + vocabulary + R"(},"merges":)" +
         io::json_strings_of(merges) + "}}";
}

}  // namespace expunge::text
