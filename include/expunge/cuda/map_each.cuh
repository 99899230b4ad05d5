// Element-wise kernels over many groups of arrays: an optimizer's update of all parameters. A .cu file of one's own that includes this
// header and names one's functors with EXPUNGE_CUDA_MAP_EACH makes update_in_place run them on the device.
#pragma once

#include <limits>

#include "expunge/cuda/array_groups.cuh"
#include "expunge/cuda/map.cuh"

namespace expunge::cuda {

namespace detail {

template <class F, class... E>
__global__ void map_each_kernel(const __grid_constant__ array_groups<E...> groups, index_t each, F f) {
  wait_for_earlier_work();
  groups.share(blockIdx.x, each, [&](index_t count, bool packed, E*... arrays) {
    map_elements(static_cast<index_t>(threadIdx.x), static_cast<index_t>(blockDim.x), count, packed, f, arrays...);
  });
}

}  // namespace detail

template <class F, class... E>
void map_each(const F& f, std::span<const arrays_of<E*...>> groups) {
  constexpr index_t each_block = 4096, most_blocks = std::numeric_limits<int>::max();
  detail::for_groups(groups, each_block, most_blocks, [&](const detail::array_groups<E...>& some, unsigned blocks, index_t each) {
    detail::launch("an update", detail::map_each_kernel<F, E...>, blocks, 256, 0, some, each, f);
  });
}

}  // namespace expunge::cuda

/// EXPUNGE_CUDA_MAP_EACH(F, T*, const T*, ...): as EXPUNGE_CUDA_MAP, for update_in_place.
#define EXPUNGE_CUDA_MAP_EACH(F, ...) template void expunge::cuda::map_each(const F&, std::span<const expunge::arrays_of<__VA_ARGS__>>);
