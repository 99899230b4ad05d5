// The storages over which tests are typed: the host's and the stand-in for a device, or CUDA's where test_cuda compiles them.
#pragma once

#include <boost/mpl/list.hpp>

#include <expunge/tensor/tensor.hpp>

#ifdef EXPUNGE_TEST_CUDA
#include <expunge/tensor/cuda_storage.hpp>
#else
#include "tensor/masked_storage.hpp"
#endif

namespace expunge::testing {

#ifdef EXPUNGE_TEST_CUDA
template <class T>
using storages = boost::mpl::list<cuda_storage<T>>;
using tensors = boost::mpl::list<tensor<float, cuda_storage<float>>, tensor<double, cuda_storage<double>>>;
using fast_tensors = tensors;
inline constexpr double float_steps = 1e-4;  // relative error of the weights after ten training steps in float
#else
template <class T>
using storages = boost::mpl::list<host_storage<T>, masked_storage<T>>;
using tensors = boost::mpl::list<tensor<float>, tensor<double>, tensor<float, masked_storage<float>>, tensor<double, masked_storage<double>>>;
using fast_tensors = boost::mpl::list<tensor<float>, tensor<double>>;
inline constexpr double float_steps = 1e-5;
#endif

}  // namespace expunge::testing
