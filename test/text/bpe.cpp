// BPE against the definition: merge the pair of lowest rank, leftmost first, until none is left.
#include <random>
#include <type_traits>

#include <boost/test/unit_test.hpp>

#include "expunge/text/bpe.hpp"

using expunge::text::bpe;
using ids = std::vector<std::int32_t>;

static_assert(!std::is_default_constructible_v<bpe>);  // without a vocabulary its bytes would have no ids

namespace {
ids encode(const bpe& model, std::string_view piece) {
  ids out;
  model.encode(piece, out);
  return out;
}
const bpe::vocabulary small_vocab{{"a", 0}, {"b", 1}, {"ab", 2}, {"ba", 3}, {"aba", 4}, {"abab", 5}, {"bb", 6}};
const bpe::merge_list small_merges{{"a", "b"}, {"ab", "ab"}, {"ab", "a"}, {"b", "a"}};
}  // namespace

BOOST_AUTO_TEST_SUITE(byte_pair_encoding)

BOOST_AUTO_TEST_CASE(agrees_with_the_quadratic_definition) {
  const bpe model(small_vocab, small_merges);
  std::mt19937 random(7);
  for (int trial = 0; trial < 500; ++trial) {
    std::string piece;
    std::vector<std::string> parts;
    for (auto n = random() % 40U; n > 0; --n) parts.emplace_back(1, random() % 2U == 0 ? 'a' : 'b');
    for (const auto& p : parts) piece += p;
    for (bool merged = true; merged;) {
      merged = false;
      for (std::size_t rank = 0; rank < small_merges.size() && !merged; ++rank)
        for (std::size_t i = 0; i + 1 < parts.size() && !merged; ++i)
          if (parts[i] == small_merges[rank].first && parts[i + 1] == small_merges[rank].second) {
            parts[i] += parts[i + 1];
            parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(i) + 1);
            merged = true;
          }
    }
    ids expected;
    for (const auto& p : parts) expected.push_back(small_vocab.at(p));
    BOOST_TEST(encode(model, piece) == expected, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(each_option_changes_the_outcome) {
  BOOST_TEST(encode(bpe(small_vocab, small_merges), "bb") == (ids{1, 1}), boost::test_tools::per_element());
  BOOST_TEST(encode(bpe(small_vocab, small_merges, {.ignore_merges = true, .unknown = {}}), "bb") == (ids{6}), boost::test_tools::per_element());
  BOOST_TEST(encode(bpe(small_vocab, small_merges), "axb") == (ids{2}), boost::test_tools::per_element());  // x is dropped
  BOOST_TEST(encode(bpe(small_vocab, small_merges, {.ignore_merges = false, .unknown = 9}), "axb") == (ids{0, 9, 1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_last_rank_of_a_merge_counts) {  // as in the package `tokenizers`
  BOOST_TEST(encode(bpe(small_vocab, {{"a", "b"}, {"b", "a"}, {"a", "b"}}), "aba") == (ids{0, 3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(tables_that_do_not_fit_are_refused) {
  BOOST_CHECK_THROW(bpe({{"a", 0}}, {{"a", "b"}}), expunge::error);
  BOOST_CHECK_THROW(bpe({{"a", 0}, {"b", 1}}, {{"a", "b"}}), expunge::error);
  BOOST_CHECK_THROW(bpe({{"a", -1}}, {}), expunge::error);
}

BOOST_AUTO_TEST_SUITE_END()
