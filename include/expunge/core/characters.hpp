// What bytes of UTF-8 text are, for those who do not decode it.
#pragma once

namespace expunge {

/// Ends a line or a text, or steers a terminal.
[[nodiscard]] constexpr bool is_control(char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7F'; }

/// Stands behind the first byte of a character.
[[nodiscard]] constexpr bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

}  // namespace expunge
