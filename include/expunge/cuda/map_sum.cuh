// Element-wise kernels whose results are summed: partial sums of blocks in double, added in one fixed order. A .cu file of one's own that
// includes this header and names one's functors with EXPUNGE_CUDA_MAP_SUM makes them run on the device.
#pragma once

#include <type_traits>

#include "expunge/cuda/block_lanes.cuh"
#include "expunge/cuda/map.cuh"

namespace expunge::cuda {

namespace detail {

constexpr index_t sum_block = 4096;  // elements; a matrix of a small model is work for every multiprocessor
constexpr unsigned sum_threads = 256;

template <class F, class... E>
__global__ void map_sum_kernel(index_t size, bool packed, F f, double* partial, E*... arrays) {
  detail::wait_for_earlier_work();
  const index_t begin = blockIdx.x * sum_block, count = size - begin < sum_block ? size - begin : sum_block;
  const double sum = map_sum_of(block_lanes{}, count, packed, f, (arrays + begin)...);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

template <class Index>
__global__ void total_kernel(Index count, const double* partial, double factor, double* total) {
  detail::wait_for_earlier_work();
  const double sum = sum_over(block_lanes{}, count, [&](index_t i) { return partial[i]; });
  if (threadIdx.x == 0) *total += factor * sum;
}

}  // namespace detail

template <class F, class... E>
void map_sum(index_t size, const F& f, double factor, double* out, E*... arrays) {
  if (size == 0) return;
  const unsigned blocks = detail::blocks_for(size, detail::sum_block);
  const detail::scratch<double> partial(blocks);
  detail::launch("a sum over elements", detail::map_sum_kernel<F, E...>, blocks, detail::sum_threads, 0, size, detail::packed(arrays...), f, partial.data(),
                 arrays...);
  const double* const parts = partial.data();
  detail::launch("a sum over elements", detail::total_kernel<index_t>, 1, 1024, 0, static_cast<index_t>(blocks), parts, factor, out);
}

}  // namespace expunge::cuda

/// EXPUNGE_CUDA_MAP_SUM(F, T*, const T*, ...): as EXPUNGE_CUDA_MAP, for add_map_sum.
#define EXPUNGE_CUDA_MAP_SUM(F, ...) template void expunge::cuda::map_sum(expunge::index_t, const F&, double, double*, __VA_ARGS__);
