// JSON from files that may be broken or hostile: duplicate keys and deep nesting are errors too.
// Compile time: streaming, comparing or brace-initialising a nlohmann::json makes g++ try every conversion of it. Headers take
// values out by type (get, get_ref), stream dump(), and assign members; one kind of json (not ordered_json) is compiled.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "expunge/core/error.hpp"

namespace expunge::io {

/// Parses `text`, found in `file`. Throws expunge::error naming the file for malformed JSON, invalid UTF-8, a key that
/// occurs twice in one object, or nesting deeper than `max_depth`.
inline nlohmann::json parse_strict_json(std::string_view text, const std::filesystem::path& file, int max_depth = 64) {
  using event = nlohmann::json::parse_event_t;
  std::vector<std::set<std::string, std::less<>>> keys;  // of the open object at each depth
  const auto check = [&](int depth, event what, const nlohmann::json& value) {
    if (what == event::object_start || what == event::array_start) {
      require(depth < max_depth, file, ": JSON nested deeper than ", max_depth);
      keys.resize(static_cast<std::size_t>(depth));
      keys.emplace_back();
    } else if (what == event::key) {
      const auto& key = value.get_ref<const std::string&>();
      require(keys[static_cast<std::size_t>(depth) - 1].insert(key).second, file, ": duplicate JSON key '", key, "'");
    }
    return true;
  };
  try {
    return nlohmann::json::parse(text, check);
  } catch (const nlohmann::json::exception& e) {
    fail(file, ": ", e.what());
  }
}

/// Key and value of each member, sorted by key. Throws nlohmann::json::type_error unless `object` is an object.
inline const nlohmann::json::object_t& members(const nlohmann::json& object) {
  return object.get_ref<const nlohmann::json::object_t&>();
}

}  // namespace expunge::io
