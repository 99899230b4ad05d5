#define BOOST_TEST_MODULE expunge_metric
#include <boost/test/unit_test.hpp>
