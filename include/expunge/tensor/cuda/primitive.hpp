// Which CUDA kernel runs a primitive: that of its name.
#pragma once

#include "expunge/tensor/cuda/kernels.hpp"
#include "expunge/tensor/primitive.hpp"

namespace expunge::cuda {

template <class Primitive>
struct kernel;

#define EXPUNGE_CUDA_KERNEL(NAME, T) template <> struct kernel<primitive::NAME> { static void launch(const auto&... a) { cuda::NAME(a...); } };
EXPUNGE_PRIMITIVES(EXPUNGE_CUDA_KERNEL, )
EXPUNGE_CUDA_KERNEL(linear, )
#undef EXPUNGE_CUDA_KERNEL

}  // namespace expunge::cuda
