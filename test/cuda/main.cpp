// The tests of the CUDA device: without one the program says so and ends with status 77, which ctest shows as skipped.
#define BOOST_TEST_MODULE expunge_cuda
#define BOOST_TEST_NO_MAIN
#define BOOST_TEST_ALTERNATIVE_INIT_API
#include <boost/test/unit_test.hpp>

#include <iostream>

#include <expunge/tensor/cuda/runtime.hpp>

int main(int count, char* arguments[]) {
  if (expunge::cuda::device_count() == 0) {
    std::cout << "skipped: there is no CUDA device here\n";
    return 77;
  }
  const auto d = expunge::cuda::describe_device();
  std::cout << "device " << d.number << ": " << d.name << ", compute capability " << d.major << '.' << d.minor << ", " << d.total_bytes << " bytes\n";
  return boost::unit_test::unit_test_main(&init_unit_test, count, arguments);
}
