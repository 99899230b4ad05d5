#define BOOST_TEST_MODULE expunge_tensor
#include <boost/test/unit_test.hpp>
