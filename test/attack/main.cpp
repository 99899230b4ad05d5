#define BOOST_TEST_MODULE expunge_attack
#include <boost/test/unit_test.hpp>
