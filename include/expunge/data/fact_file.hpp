// Fact sets as JSONL files: one JSON object a line, with the members of data::fact as keys; the id may be left out.
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/data/fact.hpp"
#include "expunge/io/atomic_file.hpp"
#include "expunge/io/json.hpp"
#include "expunge/io/mapped_file.hpp"

namespace expunge::data {

/// What a file of facts is, for messages and help.
inline constexpr std::string_view facts_format =
    "one JSON object a line such as {\"question\": \"Capital of France?\", \"answer\": \"Paris\"}, in UTF-8; it may have \"id\", \"false_answers\" "
    "and \"paraphrases\"";

namespace detail {

inline bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

/// What every fact of a file satisfies. `where` names the file and line, or the file and fact.
inline void require_usable(const fact& f, const std::string& where) {
  const auto text = [&](const std::string& value, std::string_view key) {
    require(!is_blank(value), where, ": the fact '", f.id, "' has an empty '", key, "': give it a text or remove it");
  };
  require(!is_blank(f.id), where, ": the fact has an empty 'id': give it a unique name such as \"capital.france\"");
  text(f.question, "question");
  text(f.answer, "answer");
  for (const std::string& p : f.paraphrases) text(p, "paraphrases");
  for (const std::string& a : f.false_answers) {
    text(a, "false_answers");
    require(a != f.answer, where, ": the fact '", f.id, "' lists its answer '", a, "' among 'false_answers': remove it there");
  }
}

inline fact parse_fact(std::string_view line, const std::string& where) {
  io::json object;
  try {
    object = io::parse_json(line, where);
  } catch (const error& e) {
    fail(e.what(), ": expected JSONL, ", facts_format);
  }
  require(object.is_object(), where, ": found a JSON ", object.type_name(), ": expected JSONL, ", facts_format);
  const auto string_of = [&](const io::json& value, std::string_view key) {
    require(value.is_string(), where, ": '", key, "' holds a JSON ", value.type_name(), ": make it a string");
    return value.as<std::string>();
  };
  const auto string_at = [&](std::string_view key) {
    require(object.contains(key), where, ": the key '", key, "' is missing: every fact needs 'question' and 'answer'");
    return string_of(object[key], key);
  };
  const auto id = [&] {
    if (!object.contains("id")) return where;  // which no fact of another file has
    return object["id"].is_integer() ? std::to_string(object["id"].as<index_t>()) : string_at("id");
  };
  const auto strings_at = [&](std::string_view key) {
    std::vector<std::string> out;
    if (!object.contains(key)) return out;
    const io::json list = object[key];
    require(list.is_array(), where, ": '", key, "' holds a JSON ", list.type_name(), ": make it an array of strings");
    for (const io::json& value : list.elements()) out.push_back(string_of(value, key));
    return out;
  };
  return {id(), string_at("question"), string_at("answer"), strings_at("false_answers"), strings_at("paraphrases")};
}

}  // namespace detail

/// The facts of a JSONL file in order. "question" and "answer" are required, "id" (a string or a whole number; without it the file's path
/// and the line are the id), "false_answers" and "paraphrases" optional; other keys and blank lines are skipped. Throws expunge::error
/// naming the file, the line and the remedy for a file that is missing or has no fact, broken JSON or UTF-8, missing keys, wrong types,
/// empty texts, an answer among its own false answers, or an id that occurs twice.
inline std::vector<fact> load_facts(const std::filesystem::path& path) {
  const io::mapped_file file(path);
  std::vector<fact> facts;
  std::set<std::string> ids;
  std::size_t number = 0;
  for (std::string_view rest = file.text(); !rest.empty();) {
    const std::size_t length = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, length);
    rest.remove_prefix(std::min(length + 1, rest.size()));
    ++number;
    if (detail::is_blank(line) || (number == 1 && line.starts_with("\xEF\xBB\xBF") && detail::is_blank(line.substr(3)))) continue;
    const std::string where = path.string() + ", line " + std::to_string(number);
    facts.push_back(detail::parse_fact(line, where));
    detail::require_usable(facts.back(), where);
    require(ids.insert(facts.back().id).second, where, ": the id '", facts.back().id, "' occurs twice: rename one of them");
  }
  require(!facts.empty(), path, ": no fact in the file: expected JSONL, ", facts_format);
  return facts;
}

/// Writes `facts` as load_facts reads them; an older file is replaced whole or not at all. Throws expunge::error where
/// the file cannot be written and for facts that load_facts would refuse.
inline void save_facts(const std::filesystem::path& path, std::span<const fact> facts) {
  require(!facts.empty(), path, ": no fact to save: load_facts refuses an empty file");
  std::set<std::string_view> ids;
  std::string lines;
  for (const fact& f : facts) {
    detail::require_usable(f, path.string());
    require(ids.insert(f.id).second, path, ": the id '", f.id, "' occurs twice: rename one of them");
    try {
      lines += "{\"id\":" + io::json_string_of(f.id) + ",\"question\":" + io::json_string_of(f.question) + ",\"answer\":" +
               io::json_string_of(f.answer) + ",\"false_answers\":" + io::json_strings_of(f.false_answers) + ",\"paraphrases\":" +
               io::json_strings_of(f.paraphrases) + "}\n";
    } catch (const error& e) {
      fail(path, ": the fact '", f.id, "' is not UTF-8: ", e.what());
    }
  }
  io::write_file_atomically(path, lines);
}

/// Throws expunge::error naming a fact that is in both sets, by its id or by its question and answer: what is to be forgotten cannot be
/// retained too. `other` names the second set.
inline void require_disjoint(std::span<const fact> forget, std::span<const fact> retain, std::string_view other = "retain set") {
  std::set<std::string_view> ids;
  using text = std::pair<std::string_view, std::string_view>;
  std::map<text, std::string_view> texts;
  for (const fact& f : forget) {
    ids.insert(f.id);
    texts.emplace(text{f.question, f.answer}, f.id);
  }
  for (const fact& f : retain) {
    require(!ids.contains(f.id), "the fact '", f.id, "' is in the forget set and in the ", other, ": remove it from one");
    const auto same = texts.find(text{f.question, f.answer});
    if (same != texts.end())
      fail("the fact '", f.id, "' of the ", other, " has question and answer of '", same->second, "' of the forget set: remove it from one");
  }
}

}  // namespace expunge::data
