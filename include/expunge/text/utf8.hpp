// UTF-8 decoding and encoding with a defined result for broken input (U+FFFD for each maximal broken part).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace expunge::text {

/// One decoded code point: its value (U+FFFD where the bytes are broken), the bytes it took, and whether they were valid.
struct code_point {
  char32_t value;
  std::size_t length;  // bytes, at least 1
  bool valid;
};

/// Decodes the code point that starts at byte `position` of `text` (position < text.size()).
/// A broken sequence yields U+FFFD and takes the longest prefix of a valid sequence, at least one byte: the practice of
/// the Unicode Standard (section 3.9, table 3-8), of WHATWG decoders and of Rust's from_utf8_lossy. O(1).
[[nodiscard]] constexpr code_point decode_utf8(std::string_view text, std::size_t position) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(position);
  if (first < 0x80) return {static_cast<char32_t>(first), 1, true};
  constexpr char32_t replacement = 0xFFFD;
  std::size_t length = 0;
  unsigned low = 0x80, high = 0xBF;  // what the second byte may be: no overlong forms, no surrogates, at most U+10FFFF
  if (first >= 0xC2 && first <= 0xDF) length = 2;
  else if (first >= 0xE0 && first <= 0xEF) length = 3;
  else if (first >= 0xF0 && first <= 0xF4) length = 4;
  else return {replacement, 1, false};
  if (first == 0xE0) low = 0xA0;
  if (first == 0xED) high = 0x9F;
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;
  char32_t value = first & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if (position + i >= text.size()) return {replacement, i, false};
    const unsigned next = byte(position + i);
    if (next < low || next > high) return {replacement, i, false};
    value = (value << 6) | (next & 0x3FU);
    low = 0x80;
    high = 0xBF;
  }
  return {value, length, true};
}

/// Appends the UTF-8 form of `value` to `out`; a surrogate or a value above U+10FFFF is written as U+FFFD.
inline void append_utf8(std::string& out, char32_t value) {
  if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) value = 0xFFFD;
  const auto put = [&out](char32_t byte) { out.push_back(static_cast<char>(static_cast<unsigned char>(byte))); };
  if (value < 0x80) {
    put(value);
  } else if (value < 0x800) {
    put(0xC0 | (value >> 6));
    put(0x80 | (value & 0x3F));
  } else if (value < 0x10000) {
    put(0xE0 | (value >> 12));
    put(0x80 | ((value >> 6) & 0x3F));
    put(0x80 | (value & 0x3F));
  } else {
    put(0xF0 | (value >> 18));
    put(0x80 | ((value >> 12) & 0x3F));
    put(0x80 | ((value >> 6) & 0x3F));
    put(0x80 | (value & 0x3F));
  }
}

/// Whether all of `text` is valid UTF-8. O(n).
[[nodiscard]] constexpr bool is_valid_utf8(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size();) {
    const code_point c = decode_utf8(text, i);
    if (!c.valid) return false;
    i += c.length;
  }
  return true;
}

/// A copy of `text` in which every broken part is replaced by U+FFFD; valid text comes back unchanged. O(n).
[[nodiscard]] inline std::string to_valid_utf8(std::string_view text) {
  if (is_valid_utf8(text)) return std::string(text);
  std::string out;
  out.reserve(text.size() + 16);
  for (std::size_t i = 0; i < text.size();) {
    const code_point c = decode_utf8(text, i);
    append_utf8(out, c.value);
    i += c.length;
  }
  return out;
}

/// Whether `c` has the Unicode property White_Space.
[[nodiscard]] constexpr bool is_white_space(char32_t c) noexcept {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

}  // namespace expunge::text
