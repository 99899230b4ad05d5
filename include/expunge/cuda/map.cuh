// Element-wise kernels: the functors that the host runs over SIMD batches, sixteen bytes of each array a thread. A .cu file of one's
// own that includes this header and names one's functors with EXPUNGE_CUDA_MAP makes them run on the device.
#pragma once

#include "expunge/cuda/launch.cuh"
#include "expunge/tensor/cuda/kernels.hpp"
#include "expunge/tensor/cuda/map_elements.hpp"
#include "expunge/tensor/functor.hpp"

namespace expunge::cuda {

namespace detail {

template <class F, class... E>
__global__ void map_kernel(index_t size, bool packed, F f, E*... arrays) {
  wait_for_earlier_work();
  map_elements(static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x, static_cast<index_t>(gridDim.x) * blockDim.x, size, packed, f, arrays...);
}

}  // namespace detail

template <class F, class... E>
void map(index_t size, const F& f, E*... arrays) {
  detail::launch("an element-wise operation", detail::map_kernel<F, E...>, detail::blocks_for(size, 1024), 256, 0, size, detail::packed(arrays...), f,
                 arrays...);
}

}  // namespace expunge::cuda

/// EXPUNGE_CUDA_MAP(F, T*, const T*, ...): the functor F over these arrays. A type that is given here may hold no comma.
#define EXPUNGE_CUDA_MAP(F, ...) template void expunge::cuda::map(expunge::index_t, const F&, __VA_ARGS__);
/// A functor that returns a value of its arguments, as `mapped(f, ...)` and `add_mapped(f, ...)` use it.
#define EXPUNGE_CUDA_ASSIGN(T, F, ...) EXPUNGE_ADDED_MAPS(EXPUNGE_CUDA_MAP, T, F, __VA_ARGS__)
