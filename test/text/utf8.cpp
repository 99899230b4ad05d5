// UTF-8: valid text round-trips, broken text has the result of the Unicode Standard's table 3-8.
#include <boost/test/unit_test.hpp>

#include "expunge/text/utf8.hpp"

namespace text = expunge::text;

BOOST_AUTO_TEST_SUITE(utf8)

BOOST_AUTO_TEST_CASE(every_code_point_round_trips) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string bytes;
    text::append_utf8(bytes, c);
    const auto back = text::decode_utf8(bytes, 0);
    if (!back.valid || back.value != c || back.length != bytes.size()) BOOST_ERROR("U+" << std::hex << unsigned{c});
  }
}

BOOST_AUTO_TEST_CASE(broken_parts_become_replacement_characters) {
  const std::string r = "\xEF\xBF\xBD";
  BOOST_TEST(text::to_valid_utf8("a\xFFz") == "a" + r + "z");
  BOOST_TEST(text::to_valid_utf8("\xE2\x82") == r);                       // truncated at the end: one part
  BOOST_TEST(text::to_valid_utf8("\xF0\x9F\x98z") == r + "z");            // truncated in the middle: one part
  BOOST_TEST(text::to_valid_utf8("\xC0\xAF") == r + r);                   // overlong
  BOOST_TEST(text::to_valid_utf8("\xED\xA0\x80") == r + r + r);           // surrogate
  BOOST_TEST(text::to_valid_utf8("\xF4\x90\x80\x80") == r + r + r + r);   // above U+10FFFF
  BOOST_TEST(text::to_valid_utf8("\xE0\x9F\xBF") == r + r + r);           // overlong
  BOOST_TEST(text::to_valid_utf8("\xF0\x8F\xBF\xBF") == r + r + r + r);   // overlong
  BOOST_TEST(text::to_valid_utf8("\xF5\x80\x80\x80") == r + r + r + r);   // above U+10FFFF
  BOOST_TEST(text::to_valid_utf8("\x80") == r);                           // a lone continuation byte
  BOOST_TEST(text::to_valid_utf8("plain \xC3\xA9") == "plain \xC3\xA9");
  for (const char32_t bad : {0xD800U, 0xDFFFU, 0x110000U}) {
    std::string written;
    text::append_utf8(written, bad);
    BOOST_TEST(written == r);
  }
}

BOOST_AUTO_TEST_CASE(white_space) {
  for (const char32_t c : {0x09U, 0x0DU, 0x20U, 0x85U, 0xA0U, 0x1680U, 0x2003U, 0x3000U}) BOOST_TEST(text::is_white_space(c));
  for (const char32_t c : {0x08U, 0x41U, 0x180EU, 0x200BU, 0xFEFFU}) BOOST_TEST(!text::is_white_space(c));
}

BOOST_AUTO_TEST_SUITE_END()
