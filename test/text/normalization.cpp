// NFC: composition, reordering, exclusions, Hangul, zero bytes, broken UTF-8.
#include <boost/test/unit_test.hpp>

#include <string>

#include "expunge/text/normalization.hpp"
#include "expunge/text/tokenizer_gguf.hpp"

namespace text = expunge::text;

BOOST_AUTO_TEST_SUITE(normalization)

BOOST_AUTO_TEST_CASE(text_is_composed) {
  BOOST_TEST(text::to_nfc("e\u0301") == "\u00e9");
  BOOST_TEST(text::to_nfc("q\u0307\u0323") == "q\u0323\u0307");  // reordered, no composed form
  BOOST_TEST(text::to_nfc("x\u0302\u0301\u0323") == "x\u0323\u0302\u0301");  // marks of one class stay in their order
  BOOST_TEST(text::to_nfc("x\u0301\u0302\u0323") == "x\u0323\u0301\u0302");
  BOOST_TEST(text::to_nfc("\u1100\u1161\u11a8") == "\uac01");
  BOOST_TEST(text::to_nfc("\u212b") == "\u00c5");
  BOOST_TEST(text::to_nfc("\u0958") == "\u0915\u093c");  // excluded from composition
  BOOST_TEST(text::to_nfc("plain") == "plain");
  BOOST_TEST(text::to_nfc("").empty());
}

BOOST_AUTO_TEST_CASE(zero_bytes_stay_and_broken_bytes_are_replaced) {
  using namespace std::string_literals;
  BOOST_TEST(text::to_nfc("e\u0301\0e\u0301"s) == "\u00e9\0\u00e9"s);
  BOOST_TEST(text::to_nfc("\xc3(e\xcc\x81\xff") == "\ufffd(\u00e9\ufffd");
}

// Where the time is square in them, this takes hours.
BOOST_AUTO_TEST_CASE(long_runs_of_marks_are_ordered_in_time) {
  const auto repeated = [](const std::string& part, int times) {
    std::string out;
    while (times-- > 0) out += part;
    return out;
  };
  constexpr int times = 1'000'000;
  BOOST_TEST((text::to_nfc("x" + repeated("\u0301\u0327", times)) == "x" + repeated("\u0327", times) + repeated("\u0301", times)));
  BOOST_TEST((text::to_nfc(repeated("\u0f73", times)) == repeated("\u0f71", times) + repeated("\u0f72", times)));  // two marks in one
  BOOST_TEST(text::to_nfc("\u1f82\u0327\u0301") == "\u1f82\u0327\u0301");  // of four parts, which are composed again
}

BOOST_AUTO_TEST_CASE(a_qwen2_gguf_normalizes_and_gpt2_does_not) {
  const std::vector<std::string> tokens{"e", "\u00cc", "\u0123", "\u00c3", "\u00a9"};  // bytes in the byte alphabet
  const auto ids = [&](const char* pre) { return text::tokenizer_from_gguf(tokens, {}, {}, pre).encode("e\u0301"); };
  BOOST_TEST(ids("qwen2") == (std::vector<std::int32_t>{3, 4}), boost::test_tools::per_element());
  BOOST_TEST(ids("gpt2") == (std::vector<std::int32_t>{0, 1, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
