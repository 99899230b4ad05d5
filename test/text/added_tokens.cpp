// Added tokens: longest match, white space taken along, refusal of empty ones.
#include <boost/test/unit_test.hpp>

#include "expunge/text/added_tokens.hpp"

namespace text = expunge::text;
using list = std::vector<std::string>;

namespace {
list cut(const std::vector<text::added_token>& tokens, std::string_view input) {
  list out;
  text::added_token_matcher(tokens).split(
      input, [&](std::string_view part) { out.emplace_back(part); },
      [&](const text::added_token& t) { out.push_back("#" + std::to_string(t.id)); });
  return out;
}
text::added_token token(std::int32_t id, std::string content, bool left = false, bool right = false) {
  return {id, std::move(content), false, left, right};
}
}  // namespace

BOOST_AUTO_TEST_SUITE(added_tokens)

BOOST_AUTO_TEST_CASE(the_longest_token_wins) {
  BOOST_TEST(cut({token(1, "<a"), token(2, "<a>")}, "x<a><ay<") == (list{"x", "#2", "#1", "y<"}), boost::test_tools::per_element());
  BOOST_TEST(cut({}, "x") == (list{"x"}), boost::test_tools::per_element());
  BOOST_TEST(cut({token(1, "x")}, "").empty());
  const std::vector<text::added_token> nested{token(1, "<ab>"), token(2, "<"), token(3, "<\xC3\xA9"), token(4, "<ab"), token(5, "<ab>")};
  BOOST_TEST(cut(nested, "<ab><ab<a<\u00e9<\u00e8") == (list{"#1", "#4", "#2", "a", "#3", "#2", "\u00e8"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(white_space_is_stripped_where_asked) {
  const std::string input = "a \u3000<m>\n b";
  BOOST_TEST(cut({token(1, "<m>")}, input) == (list{"a \u3000", "#1", "\n b"}), boost::test_tools::per_element());
  BOOST_TEST(cut({token(1, "<m>", true)}, input) == (list{"a", "#1", "\n b"}), boost::test_tools::per_element());
  BOOST_TEST(cut({token(1, "<m>", false, true)}, input) == (list{"a \u3000", "#1", "b"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(tokens_without_text_or_id_are_refused) {
  BOOST_CHECK_THROW(cut({token(1, "")}, "x"), expunge::error);
  BOOST_CHECK_THROW(cut({token(-1, "x")}, "x"), expunge::error);
}

BOOST_AUTO_TEST_SUITE_END()
