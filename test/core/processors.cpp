// How many threads a process is worth: by affinity and by a control group's quota.
#include <boost/test/unit_test.hpp>

#include <limits>
#include <sstream>
#include <thread>

#include <expunge/core/processors.hpp>

using namespace expunge;

BOOST_AUTO_TEST_SUITE(processors)

BOOST_AUTO_TEST_CASE(a_quota_is_rounded_up) {
  const auto quota = [](const char* text) {
    std::istringstream in(text);
    return detail::quota_of(in);
  };
  constexpr auto none = std::numeric_limits<std::size_t>::max();
  BOOST_TEST(quota("200000 100000\n") == 2U);
  BOOST_TEST(quota("150000 100000\n") == 2U);
  BOOST_TEST(quota("5000 100000\n") == 1U);
  for (const char* unlimited : {"max 100000\n", "", "100000", "0 100000", "100000 0"}) BOOST_TEST(quota(unlimited) == none);
}

#ifdef __linux__
BOOST_AUTO_TEST_CASE(a_thread_bound_to_one_processor_has_one) {
  BOOST_TEST(usable_processors() >= 1U);
  std::size_t found = 0;
  std::thread([&] {
    cpu_set_t mine, one;
    CPU_ZERO(&one);
    BOOST_REQUIRE(sched_getaffinity(0, sizeof mine, &mine) == 0);
    for (std::size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++i)
      if (CPU_ISSET(i, &mine)) CPU_SET(i, &one);
    BOOST_REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
    found = usable_processors();
  }).join();
  BOOST_TEST(found == 1U);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
