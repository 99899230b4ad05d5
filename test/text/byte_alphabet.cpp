// The byte alphabet: a bijection with the values that published vocabularies use.
#include <set>

#include <boost/test/unit_test.hpp>

#include "expunge/text/byte_alphabet.hpp"

namespace text = expunge::text;

static_assert(!text::symbol_to_byte(0x144));  // the first behind the alphabet

BOOST_AUTO_TEST_SUITE(byte_alphabet)

BOOST_AUTO_TEST_CASE(is_a_bijection) {
  std::set<char32_t> seen;
  std::string all;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char32_t symbol = text::byte_to_symbol(static_cast<unsigned char>(byte));
    seen.insert(symbol);
    BOOST_TEST(unsigned{text::symbol_to_byte(symbol).value()} == byte);
    all.push_back(static_cast<char>(byte));
  }
  BOOST_TEST(seen.size() == 256U);
  BOOST_TEST(text::symbols_to_bytes(text::bytes_to_symbols(all)).value() == all);
}

BOOST_AUTO_TEST_CASE(known_symbols) {
  BOOST_TEST(text::bytes_to_symbols(" a\n") == "\u0120a\u010A");
  BOOST_TEST(unsigned{text::byte_to_symbol(0xAD)} == 0x143U);
  BOOST_TEST(!text::symbol_to_byte(U' ').has_value());
  BOOST_TEST(!text::symbols_to_bytes("a b").has_value());
  BOOST_TEST(!text::symbols_to_bytes("\u4E2D").has_value());
}

BOOST_AUTO_TEST_SUITE_END()
