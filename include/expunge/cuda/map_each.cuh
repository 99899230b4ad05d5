// Element-wise kernels over many groups of arrays: an optimizer's update of all parameters, sums over all of them. A .cu file of one's own
// that includes this header and names one's functors with the macros below makes them run on the device.
#pragma once

#include <limits>

#include "expunge/cuda/array_groups.cuh"
#include "expunge/cuda/map_sum.cuh"

namespace expunge::cuda {

namespace detail {

template <class F, class... E>
__global__ void map_each_kernel(const __grid_constant__ array_groups<E...> groups, index_t each, F f) {
  wait_for_earlier_work();
  groups.share(blockIdx.x, each, [&](index_t count, bool packed, E*... arrays) {
    map_elements(static_cast<index_t>(threadIdx.x), static_cast<index_t>(blockDim.x), count, packed, f, arrays...);
  });
}

template <class F, class... E>
__global__ void map_sum_each_kernel(const __grid_constant__ array_groups<E...> groups, index_t each, F f, volatile double* partial, unsigned* ended,
                                    double factor, double* total) {
  wait_for_earlier_work();
  const block_lanes lanes;
  const double part = groups.share(blockIdx.x, each, [&](index_t count, bool packed, E*... arrays) { return map_sum_of(lanes, count, packed, f, arrays...); });
  add_parts(lanes, part, partial, ended, factor, total);
}

}  // namespace detail

template <class F, class... E>
void map_each(const F& f, std::span<const arrays_of<E*...>> groups) {
  detail::for_groups(groups, 4096, std::numeric_limits<int>::max(), [&](const detail::array_groups<E...>& some, unsigned blocks, index_t each) {
    detail::launch("element-wise operations", detail::map_each_kernel<F, E...>, blocks, 256, 0, some, each, f);
  });
}

template <class F, class... E>
void map_sum_each(const F& f, std::span<const arrays_of<E*...>> groups, double factor, double* out) {
  detail::for_groups(groups, detail::sum_block, 4 * detail::most_sum_blocks, [&](const detail::array_groups<E...>& some, unsigned blocks, index_t each) {
    const detail::scratch<double> partial(blocks);
    detail::launch("sums over elements", detail::map_sum_each_kernel<F, E...>, blocks, detail::sum_threads, 0, some, each, f, partial.data(),
                   detail::ended_blocks(), factor, out);
  });
}

}  // namespace expunge::cuda

/// EXPUNGE_CUDA_MAP_EACH(F, T*, const T*, ...): as EXPUNGE_CUDA_MAP, for update_in_place; and for add_map_sum_each.
#define EXPUNGE_CUDA_MAP_EACH(F, ...) template void expunge::cuda::map_each(const F&, std::span<const expunge::arrays_of<__VA_ARGS__>>);
#define EXPUNGE_CUDA_MAP_SUM_EACH(F, ...) \
  template void expunge::cuda::map_sum_each(const F&, std::span<const expunge::arrays_of<__VA_ARGS__>>, double, double*);
