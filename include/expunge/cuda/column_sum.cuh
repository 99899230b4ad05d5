// Sums over rows in one fixed order: slices of a block of rows, the slices, and the sums of the blocks likewise.
#pragma once

#include <algorithm>

#include "expunge/cuda/launch.cuh"
#include "expunge/tensor/cuda/norm_rows.hpp"
#include "expunge/tensor/storage.hpp"

namespace expunge::cuda::detail {

inline constexpr index_t column_sum_rows = 1024;  // of a block
inline constexpr unsigned column_slices = 16;     // of those: a warp sums 32 columns of one

/// Row blockIdx.x of `out` from that block's rows.
template <class T, class Share>
__global__ void column_sum_kernel(Share share, index_t rows, index_t cols, destination<T> out) {
  wait_for_earlier_work();
  __shared__ T found[column_slices][32];
  const unsigned slice = threadIdx.x / 32, lane = threadIdx.x % 32;
  const index_t j = static_cast<index_t>(blockIdx.y) * 32 + lane, begin = blockIdx.x * column_sum_rows;
  const index_t end = begin + column_sum_rows < rows ? begin + column_sum_rows : rows;
  T sum = 0;
  if (j < cols) {
#pragma unroll 8
    for (index_t r = begin + slice; r < end; r += column_slices) sum += share(r, j);
  }
  found[slice][lane] = sum;
  __syncthreads();
  if (slice != 0 || j >= cols) return;
  for (unsigned s = 1; s < column_slices; ++s) sum += found[s][lane];
  T& to = out.at[blockIdx.x * cols + j];
  to = out.empty ? sum : to + sum;
}

/// out[j] becomes, or grows by, the sum over rows r of share(r, j).
template <class T, class Share>
void put_column_sums(const char* what, const Share& share, index_t rows, index_t cols, destination<T> out) {
  const unsigned blocks = std::max(1U, blocks_for(rows, column_sum_rows));
  const auto sum_blocks = [&](destination<T> to) {
    launch(what, column_sum_kernel<T, Share>, dim3(blocks, blocks_for(cols, 32)), 32 * column_slices, 0, share, rows, cols, to);
  };
  if (blocks == 1) return sum_blocks(out);
  const scratch<T> partial(blocks * cols);
  sum_blocks({partial.data(), true});
  put_column_sums(what, matrix_share<T>{partial.data(), cols}, blocks, cols, out);
}

}  // namespace expunge::cuda::detail
