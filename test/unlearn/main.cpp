#define BOOST_TEST_MODULE expunge_unlearn
#include <boost/test/unit_test.hpp>
