#define BOOST_TEST_MODULE expunge_data
#include <boost/test/unit_test.hpp>
