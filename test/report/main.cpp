#define BOOST_TEST_MODULE expunge_report
#include <boost/test/unit_test.hpp>
