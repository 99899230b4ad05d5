// The regular expression wrapper: matches, Unicode white space, errors with a position.
#include <vector>

#include <boost/test/unit_test.hpp>

#include "expunge/text/unicode_regex.hpp"

namespace text = expunge::text;

namespace {
std::vector<std::string> matches(const text::unicode_regex& regex, std::string_view subject) {
  std::vector<std::string> out;
  regex.for_each_match(subject, [&](text::unicode_regex::match m) { out.emplace_back(subject.substr(m.begin, m.end - m.begin)); });
  return out;
}
using list = std::vector<std::string>;
}  // namespace

BOOST_AUTO_TEST_SUITE(unicode_regex)

BOOST_AUTO_TEST_CASE(finds_code_points_not_bytes) {
  BOOST_TEST(matches(text::unicode_regex("."), "a\u00E9\u4E2D") == (list{"a", "\u00E9", "\u4E2D"}), boost::test_tools::per_element());
  BOOST_TEST(matches(text::unicode_regex("x*"), "\u4E2Dxx\u00E9x") == (list{"", "xx", "", "x"}), boost::test_tools::per_element());
  BOOST_TEST(matches(text::unicode_regex("a"), "").empty());
}

BOOST_AUTO_TEST_CASE(white_space_is_the_unicode_property) {
  const text::unicode_regex space(R"(\s+)"), other(R"([^\s]+)"), not_space(R"(\S+)");
  BOOST_TEST(matches(space, "a\u00A0\u3000\u0085z").size() == 1U);
  BOOST_TEST(matches(space, "\u180E\u200B").empty());
  BOOST_TEST(matches(other, "a\u180E b") == matches(not_space, "a\u180E b"), boost::test_tools::per_element());
  BOOST_TEST(matches(text::unicode_regex(R"(\\s)"), "\\s x").size() == 1U);  // an escaped backslash is no white space
}

BOOST_AUTO_TEST_CASE(a_match_may_need_more_than_the_stack_of_compiled_patterns) {
  const std::string subject(200'000, 'a');
  BOOST_TEST(matches(text::unicode_regex("(?:a|b)+"), subject) == (list{subject}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(lines_begin_and_end_as_in_oniguruma) {
  std::vector<std::size_t> ends;
  text::unicode_regex("[a-z]+$").for_each_match("a b\ncd\nef g", [&](const auto& m) { ends.push_back(m.end); });
  BOOST_TEST(ends == (std::vector<std::size_t>{3, 6, 11}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_broken_pattern_is_reported) {
  BOOST_CHECK_EXCEPTION(text::unicode_regex("a(b"), expunge::error,
                        [](const expunge::error& e) { return std::string(e.what()).find("a(b") != std::string::npos; });
  BOOST_CHECK_THROW(text::unicode_regex(R"(\C)"), expunge::error);  // it would cut a character into bytes
}

BOOST_AUTO_TEST_SUITE_END()
