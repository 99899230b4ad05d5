// A tokenizer from GGUF-like vectors: special tokens, frame, settings by pre-tokenizer name, malformed tables.
#include <boost/test/unit_test.hpp>

#include "expunge/text/tokenizer_gguf.hpp"

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
}

BOOST_AUTO_TEST_CASE(malformed_tables_are_refused) {
  BOOST_CHECK_THROW(static_cast<void>(text::tokenizer_from_gguf({}, merges, {}, "gpt2")), expunge::error);
  BOOST_CHECK_THROW(static_cast<void>(text::tokenizer_from_gguf(tokens, merges, ids{1}, "gpt2")), expunge::error);
  BOOST_CHECK_THROW(static_cast<void>(text::tokenizer_from_gguf(tokens, list{"ab"}, types, "gpt2")), expunge::error);
  BOOST_CHECK_THROW(static_cast<void>(text::tokenizer_from_gguf(tokens, list{"a b b"}, types, "gpt2")), expunge::error);
  BOOST_CHECK_THROW(static_cast<void>(text::tokenizer_from_gguf(list{"a", "a"}, {}, {}, "gpt2")), expunge::error);
  BOOST_CHECK_THROW(static_cast<void>(text::tokenizer_from_gguf(tokens, merges, types, "bert")), expunge::error);
  BOOST_CHECK_THROW(static_cast<void>(text::tokenizer_from_gguf(tokens, merges, types, "gpt2", {{77}, {}})), expunge::error);
}

BOOST_AUTO_TEST_SUITE_END()
