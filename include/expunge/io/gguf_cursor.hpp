// The sequential part of a GGUF file: numbers, strings and metadata values, each checked against the end of the file.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/io/gguf_value.hpp"
#include "expunge/io/mapped_file.hpp"

namespace expunge::io::detail {

/// Reads forward through a mapped file. A length that the rest of the file cannot hold is refused before memory is taken for it, but
/// what is read may take several times its size in the file: 8 bytes for a number of one, and 32 for an empty string, stored in 8. Every
/// error names the file and the context.
class gguf_cursor {
 public:
  explicit gguf_cursor(const mapped_file& file) : file_(file) {}

  /// What is being read, for messages.
  void set_context(std::string context) { context_ = std::move(context); }
  [[nodiscard]] std::size_t position() const { return position_; }

  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(1, sizeof value), sizeof value);
    return value;
  }

  std::string string() {
    const auto length = number<std::uint64_t>();
    const std::byte* const text = take(length, 1);
    return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(length)};
  }

  /// A metadata value with its type in front.
  gguf_value value() {
    const auto type = number<std::uint32_t>();
    if (type != array_type) return with_type(type, [&](auto read) -> gguf_value { return read(); });
    const auto element_type = number<std::uint32_t>();
    const auto count = number<std::uint64_t>();
    return with_type(element_type, [&](auto read) -> gguf_value {
      using element = decltype(read());
      // Every element takes at least one byte of the file, and a string its length of eight.
      check_remaining(count, std::same_as<element, std::string> ? sizeof(std::uint64_t) : 1);
      std::vector<element> elements;
      for (std::uint64_t i = 0; i < count; ++i) elements.push_back(read());
      return elements;
    });
  }

 private:
  static constexpr std::uint32_t array_type = 9;

  // Calls use(read) where read() reads one scalar of the type and widens it.
  template <class Use>
  gguf_value with_type(std::uint32_t type, Use use) {
    switch (type) {
      case 0: return use([&] { return std::uint64_t{number<std::uint8_t>()}; });
      case 1: return use([&] { return std::int64_t{number<std::int8_t>()}; });
      case 2: return use([&] { return std::uint64_t{number<std::uint16_t>()}; });
      case 3: return use([&] { return std::int64_t{number<std::int16_t>()}; });
      case 4: return use([&] { return std::uint64_t{number<std::uint32_t>()}; });
      case 5: return use([&] { return std::int64_t{number<std::int32_t>()}; });
      case 6: return use([&] { return double{number<float>()}; });
      case 7: return use([&] { return boolean(); });
      case 8: return use([&] { return string(); });
      case array_type: fail(file_.path(), ": ", context_, ": arrays of arrays are not supported");
      case 10: return use([&] { return number<std::uint64_t>(); });
      case 11: return use([&] { return number<std::int64_t>(); });
      case 12: return use([&] { return number<double>(); });
      default: fail(file_.path(), ": ", context_, ": unknown value type ", type);
    }
  }

  bool boolean() {
    const auto value = number<std::uint8_t>();
    require(value <= 1, file_.path(), ": ", context_, ": a boolean of value ", int{value});
    return value == 1;
  }

  void check_remaining(std::uint64_t count, std::size_t unit) const {
    require(count <= (file_.bytes().size() - position_) / unit, file_.path(), ": ", context_, " at byte ", position_,
            " needs ", count, " times ", unit, " bytes and the file ends after ", file_.bytes().size());
  }

  const std::byte* take(std::uint64_t count, std::size_t unit) {
    check_remaining(count, unit);
    const std::byte* const taken = file_.bytes().data() + position_;
    position_ += static_cast<std::size_t>(count) * unit;
    return taken;
  }

  const mapped_file& file_;
  std::size_t position_ = 0;
  std::string context_ = "the header";
};

}  // namespace expunge::io::detail
