// The entry point of every room's tests.
#define BOOST_TEST_MODULE EXPUNGE_TEST_NAME
#include <boost/test/unit_test.hpp>
