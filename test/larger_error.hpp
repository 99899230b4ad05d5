// The worst of many errors.
#pragma once

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace expunge::testing {

/// The larger one. NaN, which a comparison would let pass, is the largest and stays.
template <class T>
T larger_error(T worst, T error) {
  return std::isnan(worst) || error <= worst ? worst : error;
}

/// The largest error of `found` is at most `tolerance` times the largest number expected, or than 1.
template <class T>
void check_beside_largest(const std::vector<T>& found, const std::vector<T>& expected, T tolerance) {
  BOOST_TEST_REQUIRE(found.size() == expected.size());
  T worst = 0, largest = 1;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    worst = larger_error(worst, std::abs(found[i] - expected[i]));
    largest = std::max(largest, std::abs(expected[i]));
  }
  BOOST_TEST(worst <= largest * tolerance);
}

}  // namespace expunge::testing
