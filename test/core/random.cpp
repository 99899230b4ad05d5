#include "expunge/core/random.hpp"

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <map>
#include <numeric>

BOOST_AUTO_TEST_SUITE(random_numbers)

// Known answers of the Random123 distribution for philox4x32-10: all-zero counter and key, and all-one bits.
BOOST_AUTO_TEST_CASE(philox_known_answers) {
  const auto zeros = expunge::philox(0, 0).block(0);
  const std::array<std::uint32_t, 4> expected_zeros{0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U};
  BOOST_TEST(zeros == expected_zeros, boost::test_tools::per_element());
  const std::uint64_t all = ~std::uint64_t{0};
  const auto ones = expunge::philox(all, all).block(all);
  const std::array<std::uint32_t, 4> expected_ones{0x408f276dU, 0x41c83b0eU, 0xa20bc7c6U, 0x6d5451fdU};
  BOOST_TEST(ones == expected_ones, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(numbers_are_the_words_of_one_counter_after_the_other) {
  expunge::philox generator(5, 9);
  for (std::uint64_t counter = 0; counter < 3; ++counter)
    for (const std::uint32_t word : expunge::philox(5, 9).block(counter)) BOOST_TEST(generator() == word);
}

BOOST_AUTO_TEST_CASE(uniform_below_stays_below_and_reaches_every_value) {
  expunge::philox generator(7);
  std::vector<int> seen(5, 0);
  for (int i = 0; i < 5000; ++i) ++seen.at(expunge::uniform_below(generator, 5));
  for (const int count : seen) BOOST_TEST(std::abs(count - 1000) < 150);
}

BOOST_AUTO_TEST_CASE(uniform_below_prefers_no_value) {
  expunge::philox generator(7);
  std::array<int, 3> seen{};  // of a bound that is 3/4 of all numbers: without rejection one third of its values would come twice as often
  for (int i = 0; i < 30000; ++i) ++seen.at(expunge::uniform_below(generator, 3U << 30U) % 3);
  for (const int count : seen) BOOST_TEST(std::abs(count - 10000) < 500);
}

BOOST_AUTO_TEST_CASE(standard_normal_has_mean_zero_and_variance_one) {
  expunge::philox generator(11);
  double sum = 0;
  double squares = 0;
  constexpr int n = 100000;
  for (int i = 0; i < n; ++i) {
    const double x = expunge::standard_normal(generator);
    sum += x;
    squares += x * x;
  }
  BOOST_TEST(std::abs(sum / n) < 0.015);
  BOOST_TEST(std::abs(squares / n - 1) < 0.02);
}

BOOST_AUTO_TEST_CASE(shuffle_is_a_permutation_that_the_seed_determines) {
  const auto shuffled = [](std::uint64_t seed) {
    std::vector<int> items(100);
    std::iota(items.begin(), items.end(), 0);
    expunge::philox generator(seed);
    expunge::shuffle(items, generator);
    return items;
  };
  BOOST_TEST(shuffled(1) == shuffled(1), boost::test_tools::per_element());
  BOOST_TEST((shuffled(1) != shuffled(2)));
  auto sorted = shuffled(1);
  std::sort(sorted.begin(), sorted.end());
  for (int i = 0; i < 100; ++i) BOOST_TEST(sorted[static_cast<std::size_t>(i)] == i);
}

BOOST_AUTO_TEST_CASE(every_permutation_is_as_likely_as_the_others) {
  std::map<std::array<int, 3>, int> seen;
  expunge::philox generator(3);
  for (int i = 0; i < 6000; ++i) {
    std::vector<int> items{0, 1, 2};
    expunge::shuffle(items, generator);
    ++seen[{items[0], items[1], items[2]}];
  }
  BOOST_TEST(seen.size() == 6U);
  for (const auto& [order, count] : seen) BOOST_TEST(std::abs(count - 1000) < 150);
}

BOOST_AUTO_TEST_SUITE_END()
