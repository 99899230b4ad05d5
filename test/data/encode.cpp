// A prompt and an answer as one text: where the answer begins, also where the tokenizer normalizes or replaces bytes; what stands around them.
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

BOOST_AUTO_TEST_CASE(every_choice_has_the_beginning_and_the_end) {
  const std::vector<std::string> tokens{"a", "b", "c", "\u0120", "<s>"};
  const auto t = text::tokenizer_from_gguf(tokens, {}, std::vector<std::int32_t>{1, 1, 1, 1, 3}, "gpt2", {{4}, {}});
  const auto found = data::encode_choices(t, {"{question}{question} "}, {"id", "a", "b", {"c", "bc"}, {}}, 9);
  const std::vector<std::vector<std::int32_t>> expected{{4, 0, 0, 3, 1, 9}, {4, 0, 0, 3, 2, 9}, {4, 0, 0, 3, 1, 2, 9}};
  BOOST_TEST_REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    BOOST_TEST(found[i].tokens == expected[i], boost::test_tools::per_element());
    BOOST_TEST(found[i].answer_begin == 4);
  }
  BOOST_TEST(data::encode(t, "a", "b").tokens == (std::vector<std::int32_t>{4, 0, 1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_question_is_put_in_wherever_the_template_has_it) {
  BOOST_TEST(data::prompt_template{"{question} again: {question} "}.fill("q?") == "q? again: q? ");
  BOOST_TEST(data::prompt_template{"{question}"}.fill("{question}") == "{question}");
  BOOST_CHECK_THROW(static_cast<void>(data::prompt_template{"none"}.fill("q")), error);
}

BOOST_AUTO_TEST_SUITE_END()
