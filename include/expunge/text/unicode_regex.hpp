// A compiled Unicode regular expression (PCRE2, 8-bit library): finds matches in valid UTF-8.
#pragma once

#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH 8
#endif
#include <pcre2.h>

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "expunge/core/characters.hpp"
#include "expunge/core/error.hpp"

namespace expunge::text {

namespace detail {

/// `pattern` with \s and \S (outside a class) spelled out as the property White_Space. PCRE2's own \s under UCP also takes
/// U+180E, which left White_Space in Unicode 6.3 and which the published tokenizers do not treat as space.
inline std::string spell_out_white_space(std::string_view pattern) {
  constexpr std::string_view members = R"(\x09-\x0d\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char next = pattern[++i];
      if (next == 's') out.append(in_class ? "" : "[").append(members).append(in_class ? "" : "]");
      else if (next == 'S' && !in_class) out.append("[^").append(members).append("]");
      else out.append({c, next});
      continue;
    }
    if (c == '[' && !in_class) in_class = true;
    else if (c == ']') in_class = false;
    out.push_back(c);
  }
  return out;
}

}  // namespace detail

/// A regular expression over code points, with Unicode character properties. Cheap to copy; safe to use from many threads.
class unicode_regex {
 public:
  /// A match: bytes [begin, end) of the subject.
  struct match {
    std::size_t begin;
    std::size_t end;
  };

  /// Compiles `pattern` (UTF-8, PCRE syntax without `\C`, which cuts characters; ^ and $ are of lines). Throws expunge::error with the position
  /// where it does not compile.
  explicit unicode_regex(std::string_view pattern) : pattern_(pattern) {
    const std::string spelled = detail::spell_out_white_space(pattern);
    int code = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code_8* compiled = pcre2_compile_8(reinterpret_cast<PCRE2_SPTR8>(spelled.data()), spelled.size(),
                                             PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &offset, nullptr);
    require(compiled != nullptr, "the pattern '", pattern, "' does not compile: ", message(code), " (at byte ", offset,
            " of '", spelled, "')");
    code_ = {compiled, pcre2_code_free_8};
    pcre2_jit_compile_8(compiled, PCRE2_JIT_COMPLETE);  // only a speed-up: where there is no JIT the interpreter runs
  }

  /// Calls `visit(match)` for each match in `subject` from left to right, also for empty ones; matches do not overlap.
  /// `subject` must be valid UTF-8. Throws expunge::error where PCRE2 gives up (its limits on backtracking).
  template <class Visit>
  void for_each_match(std::string_view subject, Visit&& visit) const {
    if (subject.empty()) return;
    const std::unique_ptr<pcre2_match_data_8, void (*)(pcre2_match_data_8*)> data(
        pcre2_match_data_create_from_pattern_8(code_.get(), nullptr), pcre2_match_data_free_8);
    require(data != nullptr, "PCRE2 could not allocate its match data");
    const auto* bytes = reinterpret_cast<PCRE2_SPTR8>(subject.data());
    std::size_t position = 0;
    while (position < subject.size()) {
      int found = pcre2_match_8(code_.get(), bytes, subject.size(), position, PCRE2_NO_UTF_CHECK, data.get(), nullptr);
      if (found == PCRE2_ERROR_JIT_STACKLIMIT)
        found = pcre2_match_8(code_.get(), bytes, subject.size(), position, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data.get(),
                              nullptr);
      if (found == PCRE2_ERROR_NOMATCH) return;
      require(found >= 0, "the pattern '", pattern_, "' failed at byte ", position, " of a text of ", subject.size(),
              " bytes: ", message(found), "; pass the text in shorter parts");
      const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer_8(data.get());
      const match m{bounds[0], bounds[1]};
      if (m.end >= m.begin && m.begin >= position) visit(m);
      const std::size_t next = m.end > m.begin ? m.end : m.end + 1;
      position = next > position ? next : position + 1;
      while (position < subject.size() && is_continuation(subject[position])) ++position;
    }
  }

 private:
  static std::string message(int code) {
    std::array<unsigned char, 160> buffer{};
    pcre2_get_error_message_8(code, buffer.data(), buffer.size());
    return reinterpret_cast<const char*>(buffer.data());
  }

  std::string pattern_;
  std::shared_ptr<pcre2_code_8> code_;
};

}  // namespace expunge::text
