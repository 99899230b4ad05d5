#define BOOST_TEST_MODULE expunge_loss
#include <boost/test/unit_test.hpp>
