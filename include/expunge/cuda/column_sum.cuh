// Sums over rows in one fixed order: partial sums of blocks of rows, then the blocks in order.
#pragma once

#include <algorithm>

#include "expunge/cuda/launch.cuh"
#include "expunge/tensor/cuda/norm_rows.hpp"

namespace expunge::cuda::detail {

inline constexpr index_t column_sum_rows = 64, most_column_sum_blocks = 65535;  // rows of a block at least; a grid's extent along y

template <class T, class Share>
__global__ void column_partial_kernel(Share share, index_t rows, index_t each, index_t cols, T* partial) {
  wait_for_earlier_work();
  const index_t j = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x, begin = blockIdx.y * each;
  const index_t end = begin + each < rows ? begin + each : rows;
  if (j >= cols) return;
  T sum = 0;
#pragma unroll 8
  for (index_t r = begin; r < end; ++r) sum += share(r, j);
  partial[blockIdx.y * cols + j] = sum;
}

template <class T>
__global__ void column_total_kernel(const T* partial, index_t blocks, index_t cols, T* out) {
  wait_for_earlier_work();
  const index_t j = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (j >= cols) return;
  T sum = out[j];
  for (index_t b = 0; b < blocks; ++b) sum += partial[b * cols + j];
  out[j] = sum;
}

/// out[j] += sum over rows r of share(r, j).
template <class T, class Share>
void add_column_sums(const char* what, const Share& share, index_t rows, index_t cols, T* out) {
  const index_t each = column_sum_rows * std::max(1U, blocks_for(rows, column_sum_rows * most_column_sum_blocks));
  const unsigned blocks = blocks_for(rows, each), across = blocks_for(cols, 128);
  const scratch<T> partial(blocks * cols);
  launch(what, column_partial_kernel<T, Share>, dim3(across, blocks), 128, 0, share, rows, each, cols, partial.data());
  launch(what, column_total_kernel<T>, across, 128, 0, static_cast<const T*>(partial.data()), static_cast<index_t>(blocks), cols, out);
}

}  // namespace expunge::cuda::detail
