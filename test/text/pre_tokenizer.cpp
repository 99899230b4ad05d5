// The published pre-tokenizers on text where they differ, and on broken text.
#include <boost/test/unit_test.hpp>

#include "expunge/text/pre_tokenizer.hpp"

using expunge::text::pre_tokenizer;
using list = std::vector<std::string>;

BOOST_AUTO_TEST_SUITE(pre_tokenizers)

BOOST_AUTO_TEST_CASE(differ_in_numbers_and_line_breaks) {
  const std::string input = "I'LL pay 12345\n\n  now!\n";
  const auto each = boost::test_tools::per_element();
  BOOST_TEST(pre_tokenizer::gpt2().pieces(input) == (list{"I", "'", "LL", " pay", " 12345", "\n\n ", " now", "!", "\n"}), each);
  BOOST_TEST(pre_tokenizer::smollm().pieces(input) ==
                 (list{"I", "'", "LL", " pay", " ", "1", "2", "3", "4", "5", "\n\n ", " now", "!", "\n"}), each);
  BOOST_TEST(pre_tokenizer::llama3().pieces(input) ==
                 (list{"I", "'LL", " pay", " ", "123", "45", "\n\n", " ", " now", "!\n"}), each);
  BOOST_TEST(pre_tokenizer::qwen2().pieces(input) ==
                 (list{"I", "'LL", " pay", " ", "1", "2", "3", "4", "5", "\n\n", " ", " now", "!\n"}), each);
}

BOOST_AUTO_TEST_CASE(contractions_stand_alone_and_llama3_and_qwen2_keep_a_mark_with_its_word) {
  for (const char* name : {"gpt2", "smollm", "llama-bpe", "qwen2"}) {
    list expected{"(I", "'d", "a", "'m", "a", "'s", "a", "'ve", "a", "'re", "a", "'t", "a", "'ll", "a"};
    if (name == std::string("gpt2") || name == std::string("smollm")) expected.front() = "(", expected.insert(expected.begin() + 1, "I");
    BOOST_TEST(pre_tokenizer::named(name).pieces("(I'da'ma'sa'vea'rea'ta'lla") == expected, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(every_byte_survives_and_long_spaces_are_fine) {
  const std::string input = std::string(200000, ' ') + "a\u0301\u4E2D\U0001F600 x";
  for (const char* name : {"gpt2", "smollm", "llama-bpe", "qwen2"}) {
    std::string joined;
    for (const auto& piece : pre_tokenizer::named(name).pieces(input)) joined += piece;
    BOOST_TEST((joined == input));
  }
  BOOST_TEST(pre_tokenizer::gpt2().pieces("a\xFF") == (list{"a", "\uFFFD"}), boost::test_tools::per_element());
  BOOST_TEST(pre_tokenizer::gpt2().pieces("").empty());
}

BOOST_AUTO_TEST_CASE(gaps_can_be_dropped_and_names_are_checked) {
  BOOST_TEST(pre_tokenizer{}.split("b+", pre_tokenizer::gaps::drop).pieces("abbab") == (list{"bb", "b"}), boost::test_tools::per_element());
  BOOST_TEST(pre_tokenizer{}.pieces("a b") == (list{"a b"}), boost::test_tools::per_element());
  BOOST_CHECK_THROW(pre_tokenizer::named("falcon"), expunge::error);
}

BOOST_AUTO_TEST_SUITE_END()
