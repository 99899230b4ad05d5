// Element-wise kernels whose results are summed: partial sums of blocks in double, added in one fixed order. A .cu file of one's own that
// includes this header and names one's functors with EXPUNGE_CUDA_MAP_SUM makes them run on the device.
#pragma once

#include <type_traits>

#include "expunge/cuda/block_lanes.cuh"
#include "expunge/cuda/map.cuh"

namespace expunge::cuda {

namespace detail {

constexpr index_t sum_block = 4096;        // elements at least; a matrix of a small model is work for every multiprocessor,
constexpr index_t most_sum_blocks = 2048;  // and blocks that end do so one after the other
constexpr unsigned sum_threads = 256;

/// *total += factor * the sum of the blocks' parts: the block that is the last to end adds them in their order.
inline __device__ void add_parts(const block_lanes& lanes, double part, volatile double* partial, unsigned* ended, double factor, double* total) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = part;
    __threadfence();
    last = atomicInc(ended, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last) return;
  const double sum = sum_over(lanes, gridDim.x, [&](index_t i) { return partial[i]; });
  if (threadIdx.x == 0) *total += factor * sum;
}

template <class F, class... E>
__global__ void map_sum_kernel(index_t size, index_t each, bool packed, F f, volatile double* partial, unsigned* ended, double factor, double* total,
                               E*... arrays) {
  wait_for_earlier_work();
  const block_lanes lanes;
  const index_t begin = blockIdx.x * each, count = size - begin < each ? size - begin : each;
  const double part = map_sum_of(lanes, count, packed, f, (arrays + begin)...);
  add_parts(lanes, part, partial, ended, factor, total);
}

}  // namespace detail

template <class F, class... E>
void map_sum(index_t size, const F& f, double factor, double* out, E*... arrays) {
  if (size == 0) return;
  const index_t each = detail::sum_block * detail::blocks_for(size, detail::sum_block * detail::most_sum_blocks);
  const unsigned blocks = detail::blocks_for(size, each);
  const detail::scratch<double> partial(blocks);
  detail::launch("a sum over elements", detail::map_sum_kernel<F, E...>, blocks, detail::sum_threads, 0, size, each, detail::packed(arrays...), f, partial.data(),
                 detail::ended_blocks(), factor, out, arrays...);
}

}  // namespace expunge::cuda

/// EXPUNGE_CUDA_MAP_SUM(F, T*, const T*, ...): as EXPUNGE_CUDA_MAP, for add_map_sum.
#define EXPUNGE_CUDA_MAP_SUM(F, ...) template void expunge::cuda::map_sum(expunge::index_t, const F&, double, double*, __VA_ARGS__);
