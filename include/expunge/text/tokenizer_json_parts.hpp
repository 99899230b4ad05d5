// The parts of a Hugging Face tokenizer.json, each read into what a tokenizer is made of; see tokenizer_json.hpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/io/json.hpp"
#include "expunge/text/added_tokens.hpp"
#include "expunge/text/bpe.hpp"
#include "expunge/text/pre_tokenizer.hpp"
#include "expunge/text/tokenizer.hpp"

namespace expunge::text::detail {

inline bool json_flag(const io::json& object, const char* key, bool fallback) {
  const io::json value = object[key];
  require(value.is_null() || value.is_boolean(), "'", key, "' is ", value.dump(), ", not true or false");
  return value.is_null() ? fallback : value.as<bool>();
}

inline std::string json_type(const io::json& part, std::string_view name) {
  const io::json type = part["type"];
  require(type.is_string(), name, " has no type");
  return type.as<std::string>();
}

inline std::int32_t json_id(const io::json& id, std::string_view token) {
  const bool fits = id.is_integer() && id.as<index_t>() >= 0 && id.as<index_t>() <= std::numeric_limits<std::int32_t>::max();
  if (!fits) fail("the id of '", token, "' is ", id.dump(), ", not a whole number from 0 on that fits 32 bits");
  return static_cast<std::int32_t>(id.as<index_t>());
}

inline std::string regex_of_literal(std::string_view literal) {
  std::string out;
  for (const char c : literal) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 128;
    if (!plain) out += '\\';
    out += c;
  }
  return out;
}

/// Throws expunge::error where PCRE2 may read `regex` otherwise than Oniguruma, for which tokenizer.json is written: of escaped letters,
/// options and properties it lets through those that mean the same.
inline void require_one_meaning(std::string_view regex) {
  const auto refuse = [&](std::string_view part, std::string_view place = "") {
    fail("pre_tokenizer Split: ", part, place, " in the pattern '", regex, "' is not supported: PCRE2, which reads it here, and Oniguruma take "
         "it differently; write what is meant in another way, a class by the properties of its characters: [\\p{L}\\p{N}_]");
  };
  const auto among = [](char c, std::string_view some) { return some.find(c) != std::string_view::npos; };
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  bool in_class = false;
  for (std::size_t i = 0; i < regex.size(); ++i) {
    const std::string_view one = regex.substr(i, 1), two = regex.substr(i, 2);
    if (one == "\\" && two.size() == 2) {
      if (is_letter(two[1]) && !among(two[1], "sSdDrntfaexpPAzZ")) refuse(two);
      if (in_class && two[1] == 'S') refuse(two, " within a class");
      const bool property = among(two[1], "pP"), braced = regex.substr(i + 2).starts_with('{');
      if (property && !braced) refuse(two, " without braces");
      const std::size_t end = (property || two[1] == 'x') && braced ? std::min(regex.find('}', i), regex.size()) : i + 1;
      if (property) {
        std::string_view name = regex.substr(i + 3, end - i - 3);
        if (name.starts_with('^')) name.remove_prefix(1);
        if (name.size() > 2) refuse(regex.substr(i, end + 1 - i));  // a script, not L or Lu
      }
      i = end;  // these braces count nothing
    } else if (in_class) {
      if (one == "[") refuse(one, " within a class");
      if (two == "&&") refuse(two, " within a class");
      in_class = one != "]";
    } else if (one == "[") {
      in_class = true;
      if (two == "[^") ++i;
      if (regex.substr(i + 1).starts_with(']')) refuse("]", " as the first character of a class");
    } else if (two == "(?") {
      const std::string_view rest = regex.substr(i + 2);
      const bool options = !rest.empty() && !among(rest[0], ":=!<>");
      const bool plain = rest.starts_with("i:") && rest.substr(0, rest.find(')')).find_first_of("\\(") == std::string_view::npos;  // "'s|'t"
      if (options && !plain) refuse(regex.substr(i, 3), " around more than characters, or with other options than i,");
    } else {
      if (two == "}+" || two == "}?" || two == "{," || two == "(*") refuse(two);
    }
  }
}

/// The steps of a Sequence are read alike; some of transformers' versions write one without steps for none.
inline normalization read_normalizer(const io::json& part) {
  if (part.is_null()) return normalization::none;
  const std::string type = json_type(part, "normalizer");
  normalization form = normalization::none;
  if (type == "Sequence") {
    for (const io::json& step : part.at("normalizers").elements())
      if (read_normalizer(step) == normalization::nfc) form = normalization::nfc;
  } else {
    require(type == "NFC", "normalizer ", part.dump(), " is not supported; NFC, a Sequence of it, and null are");
    form = normalization::nfc;
  }
  return form;
}

/// Adds the steps of `part` to `cutter`. ByteLevel writes text in the byte alphabet, so it must come, and come last.
inline void add_pre_tokenizer(const io::json& part, pre_tokenizer& cutter, bool& byte_level) {
  const std::string type = json_type(part, "pre_tokenizer");
  require(!byte_level, "pre_tokenizer: ", type, " after ByteLevel is not supported");
  if (type == "Sequence") {
    for (const io::json& step : part.at("pretokenizers").elements()) add_pre_tokenizer(step, cutter, byte_level);
  } else if (type == "ByteLevel") {
    require(!json_flag(part, "add_prefix_space", true), "pre_tokenizer ByteLevel: add_prefix_space is not supported");
    if (json_flag(part, "use_regex", true)) cutter.split(gpt2_pattern);
    byte_level = true;
  } else if (type == "Digits") {
    cutter.split(json_flag(part, "individual_digits", false) ? digit_pattern : R"(\p{N}+)");
  } else if (type == "Split") {
    const io::json pattern = part.at("pattern");
    const bool literal = pattern.contains("String");
    const std::string regex = literal ? regex_of_literal(pattern.at("String").as<std::string>()) : pattern.at("Regex").as<std::string>();
    if (!literal) require_one_meaning(regex);
    const auto behavior = part.at("behavior").as<std::string>();
    const bool invert = json_flag(part, "invert", false);
    const bool drop = behavior == "Removed" && invert;  // the matches stay, what lies between them goes
    require(drop || behavior == "Isolated", "pre_tokenizer Split: behavior ", behavior, " with invert ", invert,
            " is not supported; Isolated, and Removed with invert, are");
    cutter.split(regex, drop ? pre_tokenizer::gaps::drop : pre_tokenizer::gaps::keep);
  } else {
    fail("pre_tokenizer ", type, " is not supported; Sequence, Split, Digits and ByteLevel are");
  }
}

/// Reads the ids that a post-processor puts around a single text.
inline void read_frame(const io::json& part, special_frame& frame) {
  if (part.is_null()) return;
  const std::string type = json_type(part, "post_processor");
  if (type == "Sequence") {
    for (const io::json& step : part.at("processors").elements()) read_frame(step, frame);
  } else if (type == "TemplateProcessing") {
    require(frame.before.empty() && frame.after.empty(), "post_processor: a second TemplateProcessing is not supported");
    bool after_text = false;
    for (const io::json& piece : part.at("single").elements()) {
      if (piece.contains("Sequence")) {
        require(!after_text, "post_processor TemplateProcessing: the text occurs twice in 'single'");
        after_text = true;
        continue;
      }
      const auto name = piece.at("SpecialToken").at("id").as<std::string>();
      for (const io::json& id : part.at("special_tokens").at(name).at("ids").elements()) {
        constexpr std::size_t most = 1024;  // pieces times ids would be gigabytes of a small file
        require(frame.before.size() + frame.after.size() < most, "post_processor TemplateProcessing: more than ", most, " ids around a text are not supported");
        (after_text ? frame.after : frame.before).push_back(json_id(id, name));
      }
    }
    require(after_text, "post_processor TemplateProcessing: 'single' does not hold the text");
  } else {
    require(type == "ByteLevel", "post_processor ", type, " is not supported; Sequence, TemplateProcessing and ByteLevel are");
  }
}

inline std::vector<added_token> read_added_tokens(const io::json& parts) {
  std::vector<added_token> out;
  if (parts.is_null()) return out;
  for (const io::json& part : parts.elements()) {
    const auto content = part.at("content").as<std::string>();
    require(!json_flag(part, "single_word", false), "added_tokens: single_word (of '", content, "') is not supported");
    out.push_back({.id = json_id(part.at("id"), content), .content = content, .special = json_flag(part, "special", false),
                   .strip_left = json_flag(part, "lstrip", false), .strip_right = json_flag(part, "rstrip", false),
                   .normalized = json_flag(part, "normalized", false)});
  }
  return out;
}

inline bpe read_bpe(const io::json& model) {
  const bool untyped = model["type"].is_null() && model["vocab"].is_object() && model["merges"].is_array();  // by tokenizers before 0.9: GPT-2's
  const std::string type = untyped ? "BPE" : json_type(model, "model");
  require(type == "BPE", "model ", type, " is not supported; BPE is");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const io::json value = model[key];
    require(value.is_null() || value.dump() == "\"\"", "model: ", key, " is not supported");
  }
  const io::json dropout = model["dropout"];
  require(dropout.is_null() || (dropout.is_number() && dropout.as<double>() == 0), "model: dropout is not supported; set it to null");
  require(!json_flag(model, "byte_fallback", false), "model: byte_fallback is not supported");
  bpe::vocabulary vocab;
  for (const auto& [token, id] : model.at("vocab").members()) vocab.emplace(token, json_id(id, token));
  require(!vocab.empty(), "model: the vocabulary is empty");
  bpe_options options{.ignore_merges = json_flag(model, "ignore_merges", false), .unknown = {}};
  if (const io::json unknown = model["unk_token"]; !unknown.is_null()) {
    const auto at = vocab.find(unknown.as<std::string>());
    require(at != vocab.end(), "model: unk_token ", unknown.dump(), " is not in the vocabulary");
    require(!json_flag(model, "fuse_unk", false), "model: fuse_unk is not supported");
    options.unknown = at->second;
  }
  bpe::merge_list merges;
  for (const io::json& merge : model.at("merges").elements()) {
    if (merge.is_string()) {
      merges.push_back(parse_merge(merge.as<std::string>()));
    } else {
      if (!merge.is_array() || merge.size() != 2) fail("model: the merge ", merge.dump(), " is not a pair of tokens");
      const auto pair = merge.elements();
      merges.emplace_back(pair[0].as<std::string>(), pair[1].as<std::string>());
    }
  }
  return {std::move(vocab), merges, options};
}

}  // namespace expunge::text::detail
