// The metadata of a GGUF file by key, with typed access.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "expunge/core/error.hpp"
#include "expunge/io/gguf_value.hpp"

namespace expunge::io {

/// Keys with their values, filled by gguf_file.
class gguf_metadata {
 public:
  /// `file` names the origin in messages.
  explicit gguf_metadata(std::filesystem::path file) : file_(std::move(file)) {}

  /// Throws expunge::error for a key that is present already.
  void add(std::string key, gguf_value value) {
    const auto [at, is_new] = values_.emplace(std::move(key), std::move(value));
    require(is_new, file_, ": metadata '", at->first, "' occurs twice");
  }

  [[nodiscard]] const std::map<std::string, gguf_value, std::less<>>& values() const { return values_; }
  [[nodiscard]] bool contains(std::string_view key) const { return values_.find(key) != values_.end(); }

  /// The value of `key` as T, see gguf_value_as. Throws expunge::error naming the key when it is missing, or not of
  /// this type or range.
  template <class T>
  [[nodiscard]] T get(std::string_view key) const {
    const auto found = values_.find(key);
    require(found != values_.end(), file_, ": no metadata '", key, "'");
    auto value = gguf_value_as<T>(found->second);
    require(value.has_value(), file_, ": metadata '", key, "' is ", kind_of(found->second),
            ", not of the type or range needed here");
    return *std::move(value);
  }

  /// As get(), but `fallback` when the key is missing. A value of the wrong type is still an error.
  template <class T>
  [[nodiscard]] T get_or(std::string_view key, T fallback) const {
    return contains(key) ? get<T>(key) : fallback;
  }

 private:
  std::filesystem::path file_;
  std::map<std::string, gguf_value, std::less<>> values_;
};

}  // namespace expunge::io
