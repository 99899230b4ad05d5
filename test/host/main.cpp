#define BOOST_TEST_MODULE expunge_host
#include <boost/test/unit_test.hpp>
