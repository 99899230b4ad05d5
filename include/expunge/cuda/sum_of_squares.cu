// The sum of squares over many arrays in one kernel.
#include "expunge/cuda/array_groups.cuh"
#include "expunge/cuda/map_sum.cuh"
#include "expunge/tensor/cuda/kernels.hpp"

namespace expunge::cuda {

namespace {

constexpr index_t most_blocks = 8192;

template <class T>
__global__ void sum_of_squares_kernel(const __grid_constant__ detail::array_groups<const T> arrays, index_t each, volatile double* partial, unsigned* ended,
                                      double* total) {
  detail::wait_for_earlier_work();
  const block_lanes lanes;
  const double part = arrays.share(blockIdx.x, each, [&](index_t count, bool packed, const T* from) {
    return map_sum_of(lanes, count, packed, [](const T& x) { return x * x; }, from);
  });
  detail::add_parts(lanes, part, partial, ended, 1, total);
}

}  // namespace

template <class T>
void sum_of_squares(std::span<const arrays_of<const T*>> arrays, double* out) {
  detail::for_groups(arrays, detail::sum_block, most_blocks, [&](const detail::array_groups<const T>& some, unsigned blocks, index_t each) {
    const detail::scratch<double> partial(blocks);
    detail::launch("sum_of_squares", sum_of_squares_kernel<T>, blocks, detail::sum_threads, 0, some, each, partial.data(), detail::ended_blocks(), out);
  });
}

#define EXPUNGE_KERNELS(T) &sum_of_squares<T>
EXPUNGE_CUDA_KEEP(EXPUNGE_KERNELS)

}  // namespace expunge::cuda
