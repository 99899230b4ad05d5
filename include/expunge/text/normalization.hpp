// Unicode normalization of text before it is cut into tokens (UAX #15), by utf8proc.
#pragma once

#include <utf8proc.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "expunge/core/error.hpp"
#include "expunge/text/utf8.hpp"

namespace expunge::text {

/// What a tokenizer does to text first: nothing, or canonical composition (NFC), as Qwen2 does.
enum class normalization { none, nfc };

/// `text` in normalization form C. Broken UTF-8 is read as U+FFFD, as to_valid_utf8 does. O(n).
/// Throws expunge::error only where memory runs out.
[[nodiscard]] inline std::string to_nfc(std::string_view text) {
  const auto* const end = text.data() + text.size();
  const auto* first = text.data();
  while (first != end && static_cast<unsigned char>(*first) < 0x80) ++first;
  if (first == end) return std::string(text);  // ASCII is in NFC
  const std::string valid = to_valid_utf8(text);
  utf8proc_uint8_t* composed = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(valid.data()), static_cast<utf8proc_ssize_t>(valid.size()), &composed,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(composed, std::free);
  require(size >= 0, "normalizing a text of ", valid.size(), " bytes: ", size < 0 ? utf8proc_errmsg(size) : "");
  return {reinterpret_cast<const char*>(composed), static_cast<std::size_t>(size)};
}

}  // namespace expunge::text
