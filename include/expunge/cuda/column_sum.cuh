// Sums over rows in one fixed order: slices of a block of rows, the slices, and the sums of the blocks likewise.
#pragma once

#include <algorithm>

#include "expunge/cuda/launch.cuh"
#include "expunge/tensor/cuda/norm_rows.hpp"
#include "expunge/tensor/storage.hpp"

namespace expunge::cuda::detail {

inline constexpr index_t column_sum_rows = 512, most_column_sum_blocks = 65535;  // rows of a block at least; a grid's extent along y
inline constexpr unsigned column_slices = 8;  // of a block's rows: a warp sums 32 columns of one

/// Row blockIdx.y of `out` from that block's rows.
template <class T, class Share>
__global__ void column_sum_kernel(Share share, index_t rows, index_t each, index_t cols, destination<T> out) {
  wait_for_earlier_work();
  __shared__ T found[column_slices][32];
  const unsigned slice = threadIdx.x / 32, lane = threadIdx.x % 32;
  const index_t j = static_cast<index_t>(blockIdx.x) * 32 + lane, begin = blockIdx.y * each;
  const index_t end = begin + each < rows ? begin + each : rows;
  T sum = 0;
  if (j < cols) {
#pragma unroll 8
    for (index_t r = begin + slice; r < end; r += column_slices) sum += share(r, j);
  }
  found[slice][lane] = sum;
  __syncthreads();
  if (slice != 0 || j >= cols) return;
  for (unsigned s = 1; s < column_slices; ++s) sum += found[s][lane];
  T& to = out.at[blockIdx.y * cols + j];
  to = out.empty ? sum : to + sum;
}

/// out[j] becomes, or grows by, the sum over rows r of share(r, j).
template <class T, class Share>
void put_column_sums(const char* what, const Share& share, index_t rows, index_t cols, destination<T> out) {
  const index_t each = column_sum_rows * std::max(1U, blocks_for(rows, column_sum_rows * most_column_sum_blocks));
  const unsigned blocks = std::max(1U, blocks_for(rows, each));
  const auto sum_blocks = [&](destination<T> to) {
    launch(what, column_sum_kernel<T, Share>, dim3(blocks_for(cols, 32), blocks), 32 * column_slices, 0, share, rows, each, cols, to);
  };
  if (blocks == 1) return sum_blocks(out);
  const scratch<T> partial(blocks * cols);
  sum_blocks({partial.data(), true});
  put_column_sums(what, matrix_share<T>{partial.data(), cols}, blocks, cols, out);
}

}  // namespace expunge::cuda::detail
