// JSON from files that may be broken or hostile, by Jansson, and the strings of JSON that we write.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <jansson.h>

#include "expunge/core/characters.hpp"
#include "expunge/core/error.hpp"
#include "expunge/core/shape.hpp"

namespace expunge::io {

/// A value of a parsed document: a handle that keeps it alive. Asking a value for what it is not throws expunge::error, which shows what
/// was found.
class json {
 public:
  using member = std::pair<std::string_view, json>;

  json() : at_(json_null()) {}
  /// Takes over one reference to `value`.
  explicit json(json_t* value) : at_(value) {}
  json(const json& other) : at_(json_incref(other.at_)) {}
  json(json&& other) noexcept : at_(std::exchange(other.at_, json_null())) {}
  json& operator=(json other) noexcept {
    std::swap(at_, other.at_);
    return *this;
  }
  ~json() { json_decref(at_); }

  [[nodiscard]] bool is_null() const { return json_is_null(at_); }
  [[nodiscard]] bool is_object() const { return json_is_object(at_); }
  [[nodiscard]] bool is_array() const { return json_is_array(at_); }
  [[nodiscard]] bool is_string() const { return json_is_string(at_); }
  [[nodiscard]] bool is_boolean() const { return json_is_boolean(at_); }
  [[nodiscard]] bool is_integer() const { return json_is_integer(at_); }
  [[nodiscard]] bool is_number() const { return json_is_number(at_); }
  /// "object", "array", "string", "number", "boolean" or "null".
  [[nodiscard]] std::string_view type_name() const {
    return is_object() ? "object" : is_array() ? "array" : is_string() ? "string" : is_number() ? "number" : is_null() ? "null" : "boolean";
  }

  /// T: bool, index_t, double (also of an integer) or std::string.
  template <class T>
  [[nodiscard]] T as() const {
    if constexpr (std::same_as<T, bool>) return expect(is_boolean(), "true or false"), json_is_true(at_);
    else if constexpr (std::same_as<T, index_t>) return expect(is_integer(), "a whole number"), json_integer_value(at_);
    else if constexpr (std::same_as<T, double>) return expect(is_number(), "a number"), json_number_value(at_);
    else return expect(is_string(), "a string"), T(json_string_value(at_), json_string_length(at_));
  }

  /// Members of an object or elements of an array; 0 of anything else.
  [[nodiscard]] std::size_t size() const { return is_object() ? json_object_size(at_) : json_array_size(at_); }
  /// The member of an object; null where it is missing or this is no object.
  [[nodiscard]] json operator[](std::string_view key) const {
    json_t* const found = json_object_getn(at_, key.data(), key.size());
    return found != nullptr ? json(json_incref(found)) : json();
  }
  [[nodiscard]] bool contains(std::string_view key) const { return json_object_getn(at_, key.data(), key.size()) != nullptr; }
  /// The member of an object; throws where it is missing.
  [[nodiscard]] json at(std::string_view key) const {
    if (!contains(key)) fail("the key '", key, "' is missing in ", excerpt());
    return (*this)[key];
  }
  /// Of an object, in the order of the file; the keys live as long as it.
  [[nodiscard]] std::vector<member> members() const {
    expect(is_object(), "an object");
    std::vector<member> all;
    for (void* i = json_object_iter(at_); i != nullptr; i = json_object_iter_next(at_, i))
      all.emplace_back(std::string_view(json_object_iter_key(i), json_object_iter_key_len(i)), json(json_incref(json_object_iter_value(i))));
    return all;
  }
  /// Of an array.
  [[nodiscard]] std::vector<json> elements() const {
    expect(is_array(), "an array");
    std::vector<json> all;
    for (std::size_t i = 0; i < size(); ++i) all.emplace_back(json_incref(json_array_get(at_, i)));
    return all;
  }

  /// The value as JSON, for messages.
  [[nodiscard]] std::string dump() const {
    const std::unique_ptr<char, void (*)(void*)> text(json_dumps(at_, JSON_COMPACT | JSON_ENCODE_ANY), std::free);
    return text != nullptr ? text.get() : "";
  }

 private:
  void expect(bool condition, std::string_view what) const {
    if (!condition) fail("expected ", what, ", found the JSON ", type_name(), ' ', excerpt());
  }

  // Enough of the value to find it in its file.
  [[nodiscard]] std::string excerpt() const {
    const std::string text = dump();
    std::size_t end = 80;
    if (text.size() <= end) return text;
    while (is_continuation(text[end])) --end;  // within a character
    return text.substr(0, end) + "...";
  }

  json_t* at_;
};

/// Parses `text`, found in `file`. Throws expunge::error naming the file and the place for malformed JSON, invalid UTF-8, a key that
/// occurs twice in one object, numbers beyond 64 bits, or nesting deeper than Jansson's limit (2048).
inline json parse_json(std::string_view text, const std::filesystem::path& file) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // a byte order mark, as some editors write it
  require(!text.empty(), file, ": no JSON, the text is empty");
  json_error_t error;
  json_t* const root = json_loadb(text.data(), text.size(), JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
  require(root != nullptr, file, ": JSON line ", error.line, ", column ", error.column, ": ", error.text);
  return json(root);
}

/// `text` as a JSON string. Throws expunge::error unless it is UTF-8.
inline std::string json_string_of(std::string_view text) {
  json_t* const value = json_stringn(text.data(), text.size());
  require(value != nullptr, "no UTF-8 text");
  return json(value).dump();
}

/// An array of JSON strings.
inline std::string json_strings_of(std::span<const std::string> texts) {
  std::string out;
  for (const std::string& text : texts) out.append(out.empty() ? "" : ",").append(json_string_of(text));
  return "[" + out + "]";
}

}  // namespace expunge::io
