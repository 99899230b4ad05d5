// A tokenizer from GGUF-like vectors: special tokens, frame, settings by pre-tokenizer name, malformed tables; as a tokenizer.json.
#include <boost/test/unit_test.hpp>

#include <set>

#include "expunge/text/tokenizer_gguf.hpp"
#include "expunge/text/tokenizer_json.hpp"
#include "expunge/text/tokenizer_json_writer.hpp"

namespace text = expunge::text;
using ids = std::vector<std::int32_t>;
using list = std::vector<std::string>;

namespace {
const list tokens{"a", "b", "\u0120", "ab", "\u0120ab", "<|end|>", "bb", "\u00C3", "\u00A9"};
const list merges{"a b", "\u0120 ab"};
const ids types{1, 1, 1, 1, 1, 3, 1, 1, 1};
const auto each = boost::test_tools::per_element();
}  // namespace

BOOST_AUTO_TEST_SUITE(tokenizer_gguf)

BOOST_AUTO_TEST_CASE(encodes_and_decodes) {
  const auto t = text::tokenizer_from_gguf(tokens, merges, types, "gpt2", {{5}, {}});
  BOOST_TEST(t.encode("ab ab<|end|>a") == (ids{3, 4, 5, 0}), each);
  BOOST_TEST(t.encode("a", true) == (ids{5, 0}), each);
  BOOST_TEST(t.encode("").empty());
  BOOST_TEST(t.decode(ids{3, 4, 5, 0}) == "ab ab<|end|>a");
  BOOST_TEST(t.decode(ids{3, 5, 0}, text::special_tokens::skip) == "aba");
  BOOST_TEST(t.decode(ids{7, 8}) == "\u00E9");
  BOOST_TEST(t.decode(ids{7}) == "\uFFFD");
  BOOST_TEST(t.decode_bytes(ids{7}) == "\xC3");
  BOOST_TEST(t.id_of(" ab").value() == 4);
  BOOST_TEST(t.id_of("<|end|>").value() == 5);
  BOOST_TEST(!t.id_of("zz").has_value());
  BOOST_TEST(t.vocab_size() == tokens.size());
  BOOST_CHECK_THROW(static_cast<void>(t.decode(ids{99})), expunge::error);
  BOOST_CHECK_THROW(static_cast<void>(t.decode(ids{-1})), expunge::error);
}

BOOST_AUTO_TEST_CASE(token_types_and_the_name_change_the_outcome) {
  BOOST_TEST(text::tokenizer_from_gguf(tokens, merges, {}, "gpt2").encode("<|end|>").empty());  // its bytes have no token
  BOOST_TEST(text::tokenizer_from_gguf(tokens, merges, types, "qwen2").encode("bb") == (ids{1, 1}), each);
  BOOST_TEST(text::tokenizer_from_gguf(tokens, merges, types, "llama-bpe").encode("bb") == (ids{6}), each);
  BOOST_TEST(text::tokenizer_from_gguf(tokens, merges, types, "llama3").encode("bb") == (ids{6}), each);
}

BOOST_AUTO_TEST_CASE(the_frame_is_that_of_llama_cpp) {
  expunge::io::gguf_metadata m("some.gguf");
  m.add("tokenizer.ggml.bos_token_id", std::uint64_t{5});
  m.add("tokenizer.ggml.eos_token_id", std::uint64_t{6});
  for (const char* pre : {"llama-bpe", "llama3"}) BOOST_TEST(text::gguf_frame(m, pre).before == (ids{5}), each);
  BOOST_TEST(text::gguf_frame(m, "smollm").before.empty());
  BOOST_TEST(text::gguf_frame(m, "smollm").after.empty());
  auto both = m, neither = m;
  for (const char* key : {"tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token"}) both.add(key, true), neither.add(key, false);
  BOOST_TEST(text::gguf_frame(both, "smollm").before == (ids{5}), each);
  BOOST_TEST(text::gguf_frame(both, "smollm").after == (ids{6}), each);
  BOOST_TEST(text::gguf_frame(neither, "llama-bpe").before.empty());
}

BOOST_AUTO_TEST_CASE(control_tokens_are_left_out_of_a_text_and_user_defined_ones_are_not) {
  const list some{"a", "b", "<|end|>", "<|tool|>"};
  const ids kinds{1, 1, 3, 4};
  const text::special_frame frame{{2}, {2, 3}};
  for (const auto& t : {text::tokenizer_from_gguf(some, {}, kinds, "gpt2", frame),
                        text::tokenizer_from_json(text::tokenizer_json_of_gguf(some, {}, kinds, "gpt2", frame))}) {
    BOOST_TEST(t.encode("a<|tool|>b", true) == (ids{2, 0, 3, 1, 2, 3}), each);
    BOOST_TEST(t.decode(ids{2, 0, 3}, text::special_tokens::skip) == "a<|tool|>");
  }
}

BOOST_AUTO_TEST_CASE(a_tokenizer_json_encodes_alike) {
  for (const char* pre : {"gpt2", "smollm", "llama-bpe", "qwen2"}) {
    const auto json = text::tokenizer_from_json(text::tokenizer_json_of_gguf(tokens, merges, types, pre, {{5}, {}}));
    const auto gguf = text::tokenizer_from_gguf(tokens, merges, types, pre, {{5}, {}});
    BOOST_TEST(json.encode("ab bb<|end|>a\u00E9", true) == gguf.encode("ab bb<|end|>a\u00E9", true), each);
  }
}

BOOST_AUTO_TEST_CASE(a_tokenizer_json_cuts_and_normalizes_alike) {
  const list some{"a", "b", "e", "(", "1", "2", "\u00C3", "\u00A9", "\u00CC", "\u0123", "bb", "12", "(a"}, pairs{"1 2", "( a"};
  std::set<ids> outcomes;
  for (const char* pre : {"gpt2", "smollm", "llama-bpe", "qwen2"}) {
    const ids found = text::tokenizer_from_json(text::tokenizer_json_of_gguf(some, pairs, {}, pre)).encode("bb(a12e\u0301");
    BOOST_TEST(found == text::tokenizer_from_gguf(some, pairs, {}, pre).encode("bb(a12e\u0301"), each);
    outcomes.insert(found);
  }
  BOOST_TEST(outcomes.size() == 4U);
}

BOOST_AUTO_TEST_CASE(what_a_tokenizer_json_cannot_hold_is_refused_by_name) {
  const auto refused = [](const list& some, const ids& kinds, const std::string& part) {
    BOOST_CHECK_EXCEPTION(static_cast<void>(text::tokenizer_json_of_gguf(some, {}, kinds, "gpt2")), expunge::error, [&](const expunge::error& e) {
      BOOST_TEST_MESSAGE(e.what());
      return std::string(e.what()).find(part) != std::string::npos;
    });
  };
  refused({"a", "b\xFF"}, {}, "'b\uFFFD', at 1");
  refused({"a", "b", "a"}, {1, 1, 4}, "'a' twice, again at 2");
  refused({"a", "<x>", "<x>"}, {1, 3, 4}, "'<x>' twice, again at 2");
}

BOOST_AUTO_TEST_CASE(malformed_tables_are_refused) {
  BOOST_CHECK_THROW(static_cast<void>(text::tokenizer_from_gguf({}, merges, {}, "gpt2")), expunge::error);
  BOOST_CHECK_THROW(static_cast<void>(text::tokenizer_from_gguf(tokens, merges, ids{1}, "gpt2")), expunge::error);
  BOOST_CHECK_THROW(static_cast<void>(text::tokenizer_json_of_gguf(tokens, merges, ids{1}, "gpt2")), expunge::error);
  BOOST_CHECK_THROW(static_cast<void>(text::tokenizer_json_of_gguf(tokens, merges, types, "gpt2", {{77}, {}})), expunge::error);
  BOOST_CHECK_THROW(static_cast<void>(text::tokenizer_from_gguf(tokens, list{"ab"}, types, "gpt2")), expunge::error);
  BOOST_CHECK_THROW(static_cast<void>(text::tokenizer_from_gguf(tokens, list{"a b b"}, types, "gpt2")), expunge::error);
  BOOST_CHECK_THROW(static_cast<void>(text::tokenizer_from_gguf(list{"a", "a"}, {}, {}, "gpt2")), expunge::error);
  BOOST_CHECK_THROW(static_cast<void>(text::tokenizer_from_gguf(tokens, merges, types, "bert")), expunge::error);
  BOOST_CHECK_THROW(static_cast<void>(text::tokenizer_from_gguf(tokens, merges, types, "gpt2", {{77}, {}})), expunge::error);
}

BOOST_AUTO_TEST_SUITE_END()
