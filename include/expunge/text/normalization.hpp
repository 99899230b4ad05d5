// Unicode normalization of text before it is cut into tokens (UAX #15), by utf8proc.
#pragma once

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/text/utf8.hpp"

namespace expunge::text {

/// What a tokenizer does to text first: nothing, or canonical composition (NFC), as Qwen2 does.
enum class normalization { none, nfc };

namespace detail {

/// Puts every run of combining marks into the order of their classes, as UAX #15 asks. utf8proc does it in time square in the run.
inline void order_marks(std::span<utf8proc_int32_t> points) {
  const auto class_of = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
  for (auto begin = points.begin(); begin != points.end();) {
    const auto end = std::find_if(begin, points.end(), [&](utf8proc_int32_t c) { return class_of(c) == 0; });
    if (!std::ranges::is_sorted(begin, end, {}, class_of)) {
      std::multimap<utf8proc_propval_t, utf8proc_int32_t> ordered;  // marks of one class stay in their order; clang 17 warns of libstdc++ 12's stable_sort
      std::for_each(begin, end, [&](utf8proc_int32_t c) { ordered.emplace(class_of(c), c); });
      std::transform(ordered.begin(), ordered.end(), begin, [](const auto& mark) { return mark.second; });
    }
    begin = end == points.end() ? end : end + 1;
  }
}

}  // namespace detail

/// `text` in normalization form C. Broken UTF-8 is read as U+FFFD, as to_valid_utf8 does. O(n), times log n in a run of combining marks.
[[nodiscard]] inline std::string to_nfc(std::string_view text) {
  const auto* const end = text.data() + text.size();
  const auto* first = text.data();
  while (first != end && static_cast<unsigned char>(*first) < 0x80) ++first;
  if (first == end) return std::string(text);  // ASCII is in NFC
  constexpr auto form = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  std::vector<utf8proc_int32_t> points;
  points.reserve(text.size() + 1);
  for (std::size_t i = 0; i < text.size();) {
    const code_point c = decode_utf8(text, i);
    std::array<utf8proc_int32_t, 4> parts;  // Unicode has no longer canonical decomposition
    int unused = 0;
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.value), parts.data(), std::ssize(parts), form, &unused);
    points.insert(points.end(), parts.begin(), parts.begin() + count);
    i += c.length;
  }
  detail::order_marks(points);
  const auto count = std::ssize(points);
  points.push_back(0);  // room for the zero that utf8proc writes behind the text
  const utf8proc_ssize_t size = utf8proc_reencode(points.data(), count, form);  // composes, and writes UTF-8 in place
  require(size >= 0, "normalizing a text of ", text.size(), " bytes: ", size < 0 ? utf8proc_errmsg(size) : "");
  return {reinterpret_cast<const char*>(points.data()), static_cast<std::size_t>(size)};
}

}  // namespace expunge::text
