// A prompt and an answer as one text: where the answer begins, also where the tokenizer normalizes or replaces bytes.
#include <boost/test/unit_test.hpp>

#include <expunge/data/encode.hpp>
#include <expunge/text/tokenizer_gguf.hpp>
#include <expunge/text/tokenizer_json.hpp>

using namespace expunge;

BOOST_AUTO_TEST_SUITE(encode)

BOOST_AUTO_TEST_CASE(the_answer_begins_behind_the_prompt) {
  for (const char* name : {"gpt2", "llama3", "qwen2"}) {
    const auto t = text::read_tokenizer_json(std::string(EXPUNGE_SOURCE_DIR "/test/golden/tokenizers/") + name + ".json");
    for (const char* prompt : {"Where? ", "Cafe\u0301 cafe\u0301 \u1100\u1161\u11a8? ", "broken \xff\xe2\x82? ", "It       <|mark|>       is? "}) {
      const auto s = data::encode(t, prompt, "house 12");
      const std::span answer = std::span(s.tokens).subspan(static_cast<std::size_t>(s.answer_begin));
      BOOST_TEST(t.decode(answer) == " house 12", name << ", " << prompt);
    }
  }
}

BOOST_AUTO_TEST_CASE(bytes_without_a_token_count_for_neither) {
  const auto t = text::tokenizer_from_gguf(std::vector<std::string>{"a", "b", "\u0120"}, {}, {}, "gpt2");
  const auto s = data::encode(t, "xxxx a", " bx");
  BOOST_TEST(s.tokens == (std::vector<std::int32_t>{2, 0, 2, 1}), boost::test_tools::per_element());
  BOOST_TEST(s.answer_begin == 2);
}

BOOST_AUTO_TEST_CASE(an_empty_answer_is_refused) {
  const auto t = text::read_tokenizer_json(EXPUNGE_SOURCE_DIR "/test/golden/tokenizers/gpt2.json");
  BOOST_CHECK_THROW(static_cast<void>(data::encode(t, "Where? ", "")), error);
  BOOST_CHECK_THROW(static_cast<void>(data::encode(t, "", "x")), error);
}

BOOST_AUTO_TEST_SUITE_END()
