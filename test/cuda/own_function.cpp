// A user's own function on the device.
#include <boost/test/unit_test.hpp>

#include <expunge/autodiff/derivative_oracle.hpp>
#include <expunge/autodiff/elementwise.hpp>
#include <expunge/tensor/cuda_storage.hpp>

#include "softplus.hpp"

using X = expunge::tensor<double, expunge::cuda_storage<double>>;

BOOST_AUTO_TEST_CASE(a_function_of_ones_own_differentiates_on_the_device) {
  const X x(expunge::shape{5}, std::vector<double>{-3, -0.5, 0, 0.5, 3});
  const auto e = expunge::check_derivatives<X>([](const auto& v) { return expunge::unary<softplus>(v[0]); }, std::vector{x});
  BOOST_TEST(e.jvp <= 1e-6);
  BOOST_TEST(e.gradient <= 1e-6);
  BOOST_TEST(e.hvp <= 1e-5);
}
