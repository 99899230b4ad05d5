// The sum of squares over many arrays in one kernel.
#include <algorithm>

#include "expunge/cuda/map_sum.cuh"
#include "expunge/tensor/cuda/kernels.hpp"

namespace expunge::cuda {

namespace {

constexpr std::size_t most_arrays = 128;  // of a launch, which takes them by value; a power of two
constexpr index_t most_blocks = 8192;

template <class T>
struct array_list {
  const T* first[most_arrays];
  index_t size[most_arrays];
  unsigned block_end[most_arrays];  // the block behind those of each; behind the last array beyond all
};

template <class T>
__global__ void sum_of_squares_kernel(array_list<T> arrays, index_t each, volatile double* partial, unsigned* ended, double* total) {
  detail::wait_for_earlier_work();
  unsigned a = 0;  // the array of this block: the first that ends behind it
  for (unsigned half = most_arrays / 2; half > 0; half /= 2)
    if (arrays.block_end[a + half - 1] <= blockIdx.x) a += half;
  const index_t begin = (blockIdx.x - (a == 0 ? 0 : arrays.block_end[a - 1])) * each, left = arrays.size[a] - begin;
  const T* const from = arrays.first[a] + begin;
  const bool packed = reinterpret_cast<std::uintptr_t>(from) % pack_bytes<T> == 0;
  const block_lanes lanes;
  const double part = map_sum_of(lanes, left < each ? left : each, packed, [](const T& x) { return x * x; }, from);
  detail::add_parts(lanes, part, partial, ended, 1, total);
}

}  // namespace

template <class T>
void sum_of_squares(std::span<const array_of<const T*>> arrays, double* out) {
  while (!arrays.empty()) {
    const auto some = arrays.first(std::min(most_arrays, arrays.size()));
    arrays = arrays.subspan(some.size());
    index_t size = 0;
    for (const auto& array : some) size += array.size;
    const index_t each = detail::sum_block * std::max(1U, detail::blocks_for(size, detail::sum_block * most_blocks));
    array_list<T> list{};
    std::ranges::fill(list.block_end, ~0U);
    unsigned blocks = 0;
    for (std::size_t a = 0; a < some.size(); ++a) {
      list.first[a] = some[a].first;
      list.size[a] = some[a].size;
      list.block_end[a] = blocks += detail::blocks_for(some[a].size, each);
    }
    if (blocks == 0) continue;
    const detail::scratch<double> partial(blocks);
    detail::launch("sum_of_squares", sum_of_squares_kernel<T>, blocks, detail::sum_threads, 0, list, each, partial.data(), detail::ended_blocks(), out);
  }
}

#define EXPUNGE_KERNELS(T) &sum_of_squares<T>
EXPUNGE_CUDA_KEEP(EXPUNGE_KERNELS)

}  // namespace expunge::cuda
