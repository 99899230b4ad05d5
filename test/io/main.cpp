#define BOOST_TEST_MODULE expunge_io
#include <boost/test/unit_test.hpp>
