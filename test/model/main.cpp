#define BOOST_TEST_MODULE expunge_model
#include <boost/test/unit_test.hpp>
