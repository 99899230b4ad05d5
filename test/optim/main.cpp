#define BOOST_TEST_MODULE expunge_optim
#include <boost/test/unit_test.hpp>
