// Metadata values of GGUF files.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace expunge::io {

/// A scalar or an array of scalars. The integer and floating types of a file are widened to 64 bits.
using gguf_value =
    std::variant<bool, std::uint64_t, std::int64_t, double, std::string, std::vector<bool>, std::vector<std::uint64_t>,
                 std::vector<std::int64_t>, std::vector<double>, std::vector<std::string>>;

/// What a value holds, for messages.
inline std::string_view kind_of(const gguf_value& value) {
  constexpr std::array<std::string_view, std::variant_size_v<gguf_value>> kinds{
      "a boolean",         "an unsigned integer",           "a signed integer",           "a floating-point number",
      "a string",          "an array of booleans",          "an array of unsigned integers",
      "an array of signed integers", "an array of floating-point numbers", "an array of strings"};
  return kinds[value.index()];
}

namespace detail {

template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;

template <class T>
concept integer = std::integral<T> && !std::same_as<T, bool>;

template <class To, class From>
std::optional<To> convert_gguf(const From& from) {
  if constexpr (std::same_as<To, From>) {
    return from;
  } else if constexpr (integer<To> && integer<From>) {
    return std::in_range<To>(from) ? std::optional(static_cast<To>(from)) : std::nullopt;
  } else if constexpr (std::floating_point<To> && (integer<From> || std::floating_point<From>)) {
    return static_cast<To>(from);
  } else if constexpr (is_vector<To> && is_vector<From>) {
    To made;
    made.reserve(from.size());
    for (const typename From::value_type& element : from) {
      auto converted = convert_gguf<typename To::value_type>(element);
      if (!converted) return std::nullopt;
      made.push_back(*std::move(converted));
    }
    return made;
  } else {
    return std::nullopt;
  }
}

}  // namespace detail

/// `value` as T: bool, an integer type, a floating type (integers convert to it), std::string, or a std::vector of
/// these. Nothing when it holds something else or an integer that T cannot hold.
template <class T>
[[nodiscard]] std::optional<T> gguf_value_as(const gguf_value& value) {
  std::optional<T> made;
  const auto from = [&]<class Held>(const Held* held) {
    if (held != nullptr) made = detail::convert_gguf<T>(*held);
  };
  // Only the kinds that convert: std::visit would compile all ten for every T.
  const auto numbers = [&]<class Unsigned, class Signed, class Floating>() {
    from(std::get_if<Unsigned>(&value));
    from(std::get_if<Signed>(&value));
    from(std::get_if<Floating>(&value));
  };
  using std::vector;
  if constexpr (detail::is_vector<T> && !std::same_as<T, vector<bool>> && !std::same_as<T, vector<std::string>>)
    numbers.template operator()<vector<std::uint64_t>, vector<std::int64_t>, vector<double>>();
  else if constexpr (std::is_arithmetic_v<T> && !std::same_as<T, bool>)
    numbers.template operator()<std::uint64_t, std::int64_t, double>();
  else
    from(std::get_if<T>(&value));
  return made;
}

}  // namespace expunge::io
