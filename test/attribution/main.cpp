#define BOOST_TEST_MODULE expunge_attribution
#include <boost/test/unit_test.hpp>
