#include "expunge/core/thread_pool.hpp"

#include <pthread.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <thread>
#include <vector>

#include "../address_space_limit.hpp"

using expunge::index_t;

namespace {

/// Two blocks, each of which waits for the other (but not for ever) and then calls work(block): how many met the other.
template <class Work>
int run_at_the_same_time(const Work& work) {
  std::atomic<int> arrived{0}, met{0};
  expunge::parallel_for(2, [&](index_t block) {
    ++arrived;
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (arrived != 2 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
    if (arrived == 2) ++met;
    work(block);
  });
  return met;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(thread_pool)

BOOST_AUTO_TEST_CASE(blocks_run_at_the_same_time) {
  expunge::thread_pool::instance().set_threads(2);
  for (int repeat = 0; repeat < 3; ++repeat) BOOST_TEST_REQUIRE(run_at_the_same_time([](index_t) {}) == 2);
}

BOOST_AUTO_TEST_CASE(every_block_runs_once_for_any_number_of_threads) {
  for (const std::size_t threads : {1U, 2U, 5U}) {
    expunge::thread_pool::instance().set_threads(threads);
    BOOST_TEST(expunge::thread_pool::instance().threads() == threads);
    for (int repeat = 0; repeat < 200; ++repeat) {
      std::vector<int> count(37, 0);
      expunge::parallel_for(37, [&](index_t i) { ++count[static_cast<std::size_t>(i)]; });
      BOOST_TEST(count == std::vector<int>(37, 1), boost::test_tools::per_element());
    }
  }
}

BOOST_AUTO_TEST_CASE(blocks_cover_the_range_without_overlap) {
  std::vector<int> count(1001, 0);
  expunge::parallel_blocks(1001, 64, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) ++count[static_cast<std::size_t>(i)];
  });
  BOOST_TEST(count == std::vector<int>(1001, 1), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_call_from_inside_a_block_runs_serially) {
  expunge::thread_pool::instance().set_threads(2);
  std::vector<int> count(8, 0);
  run_at_the_same_time([&](index_t i) {  // in the caller and in a worker
    expunge::parallel_for(4, [&](index_t j) { ++count[static_cast<std::size_t>(4 * i + j)]; });
  });
  BOOST_TEST(count == std::vector<int>(8, 1), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_exception_reaches_the_caller_and_the_pool_survives) {
  expunge::thread_pool::instance().set_threads(2);
  BOOST_CHECK_THROW(expunge::parallel_for(8, [](index_t i) { expunge::require(i != 3, "block 3"); }), expunge::error);
  std::vector<int> count(8, 0);
  expunge::parallel_for(8, [&](index_t i) { ++count[static_cast<std::size_t>(i)]; });
  BOOST_TEST(count == std::vector<int>(8, 1), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(threads_that_the_system_does_not_give_are_refused) {
  auto& pool = expunge::thread_pool::instance();
  pool.set_threads(2);
  pthread_attr_t usual, huge;
  BOOST_TEST_REQUIRE(pthread_getattr_default_np(&usual) == 0);
  BOOST_TEST_REQUIRE(pthread_attr_init(&huge) == 0);
  BOOST_TEST_REQUIRE(pthread_attr_setstacksize(&huge, std::size_t{1} << 56) == 0);  // more than an address space has
  BOOST_TEST_REQUIRE(pthread_setattr_default_np(&huge) == 0);
  BOOST_CHECK_THROW(pool.set_threads(3), expunge::error);
  BOOST_TEST(pool.threads() == 1U);
  int count = 0;
  expunge::parallel_for(8, [&](index_t) { ++count; });
  BOOST_TEST(count == 8);
  BOOST_TEST(pthread_setattr_default_np(&usual) == 0);
  pool.set_threads(2);
  BOOST_TEST(pool.threads() == 2U);
}

#ifdef EXPUNGE_TEST_ADDRESS_SPACE
BOOST_AUTO_TEST_CASE(where_more_threads_are_refused_those_of_before_stay) {
  auto& pool = expunge::thread_pool::instance();
  pool.set_threads(2);
  constexpr std::size_t stack = std::size_t{256} << 20;
  pthread_attr_t usual, large;
  BOOST_TEST_REQUIRE(pthread_getattr_default_np(&usual) == 0);
  BOOST_TEST_REQUIRE(pthread_attr_init(&large) == 0);
  BOOST_TEST_REQUIRE(pthread_attr_setstacksize(&large, stack) == 0);
  BOOST_TEST_REQUIRE(pthread_setattr_default_np(&large) == 0);
  {
    const expunge::testing::address_space_limit limit(stack / 2 * 3);  // room for one more
    BOOST_CHECK_THROW(pool.set_threads(4), expunge::error);
  }
  BOOST_TEST(pthread_setattr_default_np(&usual) == 0);
  BOOST_TEST(pool.threads() == 2U);
  BOOST_TEST(run_at_the_same_time([](index_t) {}) == 2);
}
#endif

BOOST_AUTO_TEST_CASE(zero_threads_are_refused) {
  BOOST_CHECK_THROW(expunge::thread_pool::instance().set_threads(0), expunge::error);
}

BOOST_AUTO_TEST_SUITE_END()
