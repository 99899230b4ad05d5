#define BOOST_TEST_MODULE expunge_autodiff
#include <boost/test/unit_test.hpp>
