// The GPT-2 byte alphabet: a bijection between the 256 bytes and 256 printable code points, in which vocabularies are written.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "expunge/text/utf8.hpp"

namespace expunge::text {

namespace detail {

/// Whether a byte stands for itself: printable Latin-1, without the space, the no-break space and the soft hyphen.
constexpr bool is_own_symbol(unsigned byte) noexcept {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

constexpr std::array<char32_t, 256> make_byte_alphabet() noexcept {
  std::array<char32_t, 256> alphabet{};
  char32_t next = 0x100;  // the other 68 bytes take U+0100, U+0101, ... in ascending order
  for (unsigned byte = 0; byte < 256; ++byte) alphabet[byte] = is_own_symbol(byte) ? static_cast<char32_t>(byte) : next++;
  return alphabet;
}

constexpr std::array<short, 0x144> make_byte_alphabet_inverse() noexcept {
  std::array<short, 0x144> inverse{};
  for (auto& byte : inverse) byte = -1;
  constexpr auto alphabet = make_byte_alphabet();
  for (std::size_t byte = 0; byte < 256; ++byte) inverse[alphabet[byte]] = static_cast<short>(byte);
  return inverse;
}

inline constexpr auto byte_alphabet = make_byte_alphabet();
inline constexpr auto byte_alphabet_inverse = make_byte_alphabet_inverse();

}  // namespace detail

/// The code point that stands for `byte`: U+0120 for the space, 'A' for 'A'.
[[nodiscard]] constexpr char32_t byte_to_symbol(unsigned char byte) noexcept { return detail::byte_alphabet[byte]; }

/// The byte that `symbol` stands for; nothing when it is not in the alphabet.
[[nodiscard]] constexpr std::optional<unsigned char> symbol_to_byte(char32_t symbol) noexcept {
  if (symbol >= detail::byte_alphabet_inverse.size() || detail::byte_alphabet_inverse[symbol] < 0) return std::nullopt;
  return static_cast<unsigned char>(detail::byte_alphabet_inverse[symbol]);
}

/// Writes arbitrary bytes in the alphabet, as UTF-8. O(n).
[[nodiscard]] inline std::string bytes_to_symbols(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char byte : bytes) append_utf8(out, byte_to_symbol(static_cast<unsigned char>(byte)));
  return out;
}

/// The bytes that `symbols` (UTF-8) stand for; nothing when one code point is broken or not in the alphabet. O(n).
[[nodiscard]] inline std::optional<std::string> symbols_to_bytes(std::string_view symbols) {
  std::string out;
  out.reserve(symbols.size());
  for (std::size_t i = 0; i < symbols.size();) {
    const code_point c = decode_utf8(symbols, i);
    const auto byte = symbol_to_byte(c.value);
    if (!byte) return std::nullopt;
    out.push_back(static_cast<char>(*byte));
    i += c.length;
  }
  return out;
}

}  // namespace expunge::text
