#include "expunge/core/shape.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <limits>
#include <ranges>
#include <vector>

BOOST_AUTO_TEST_SUITE(shape)

BOOST_AUTO_TEST_CASE(sizes) {
  const expunge::shape s{2, 3, 4};
  BOOST_TEST(s.rank() == 3U);
  BOOST_TEST(s.size() == 24);
  BOOST_TEST(s.rows() == 6);
  BOOST_TEST(s.cols() == 4);
  BOOST_TEST(expunge::shape{}.size() == 1);
  BOOST_TEST((expunge::shape{2, 3} != expunge::shape{3, 2}));
  BOOST_TEST((expunge::shape{2} != expunge::shape{2, 1}));
}

// size() counts a tensor's elements, and libstdc++ 14 compares the sizes of ranges first.
BOOST_AUTO_TEST_CASE(a_range_of_its_extents) {
  const expunge::shape s{3, 2};
  BOOST_TEST(std::ranges::size(s) == s.rank());
  BOOST_TEST(std::ranges::equal(std::vector<expunge::index_t>{3, 2}, s));
}

BOOST_AUTO_TEST_CASE(bad_extents_are_named) {
  BOOST_CHECK_THROW((expunge::shape{1, -1}), expunge::error);
  BOOST_CHECK_THROW((expunge::shape{1, 1, 1, 1, 1}), expunge::error);
  constexpr auto most = std::numeric_limits<expunge::index_t>::max();
  BOOST_CHECK_THROW((expunge::shape{most / 8}), expunge::error);  // of doubles: more bytes than can be counted
  BOOST_CHECK_THROW((expunge::shape{most / 1024, 1024}), expunge::error);
  BOOST_CHECK_THROW((expunge::shape{most / 1024, 1024, 0}), expunge::error);  // rows() would overflow
  BOOST_CHECK_THROW(static_cast<void>(expunge::shape{0, 1024}.with_first(most / 64)), expunge::error);
  BOOST_TEST((expunge::shape{most / 1024, 2}.size() == most / 1024 * 2));
}

BOOST_AUTO_TEST_SUITE_END()
