// Row-wise data movement, sums, inner products and rotary positions.
#include "expunge/cuda/block_lanes.cuh"
#include "expunge/cuda/column_sum.cuh"
#include "expunge/cuda/launch.cuh"
#include "expunge/tensor/cuda/kernels.hpp"
#include "expunge/tensor/cuda/row_operations.hpp"

namespace expunge::cuda {

namespace {

constexpr unsigned threads = 256;

__device__ index_t this_thread() { return static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; }

/// rows null: every row is the first.
template <class T>
__global__ void gather_kernel(const T* table, const std::int32_t* rows, index_t count, index_t cols, T* out) {
  const index_t i = this_thread();
  if (i < count * cols) out[i] = table[(rows != nullptr ? rows[i / cols] * cols : 0) + i % cols];
}

template <class T>
__global__ void scatter_kernel(const T* values, const std::int32_t* rows, index_t count, index_t cols, T* table) {
  scatter_row(block_lanes{}, values, rows, count, cols, table, blockIdx.x);
}

/// A thread for column j of segment s: i = s * cols + j.
template <class T>
__global__ void segment_sum_kernel(const T* values, const std::int32_t* offsets, index_t segments, index_t cols, T* out) {
  const index_t i = this_thread(), s = i / cols;
  if (s < segments) segment_sum_column(values, offsets[s], offsets[s + 1], cols, i % cols, out + i);
}

template <class T>
__global__ void segment_multiply_kernel(const T* values, const T* factor, const std::int32_t* offsets, index_t segments, index_t cols, T* out) {
  const index_t i = this_thread(), s = i / cols;
  if (s < segments) segment_multiply_column(values[i], factor, offsets[s], offsets[s + 1], cols, i % cols, out);
}

template <class T>
__global__ void scale_rows_kernel(const T* values, const T* factor, index_t rows, index_t cols, T* out) {
  if (const index_t i = this_thread(); i < rows * cols) out[i] = values[i] * factor[i / cols];
}

template <class T>
__global__ void segment_products_kernel(const T* a, const T* b, const std::int32_t* offsets, index_t segments, index_t cols, T* sum, T* largest,
                                        T* smallest) {
  const index_t i = this_thread(), s = i / cols;
  const auto at = [i](T* out) { return out != nullptr ? out + i : nullptr; };
  if (s < segments) segment_products_column(a, b, offsets[s], offsets[s + 1], cols, i % cols, at(sum), at(largest), at(smallest));
}

template <class T>
__global__ void rotary_kernel(const T* x, const std::int32_t* positions, const T* cos, const T* sin, index_t rows, index_t heads, index_t dim,
                              T direction, T* y, bool accumulate) {
  const index_t i = this_thread(), pairs = heads * dim / 2;
  if (i < rows * pairs) rotary_pair(x, positions, cos, sin, heads, dim, direction, y, accumulate, i / pairs, i % pairs);
}

}  // namespace

template <class T>
void gather_rows(const T* table, const std::int32_t* rows, index_t count, index_t cols, T* out) {
  detail::launch("gather_rows", gather_kernel<T>, detail::blocks_for(count * cols, threads), threads, 0, table, rows, count, cols, out);
}

template <class T>
void broadcast_row(const T* row, index_t rows, index_t cols, T* out) {
  const std::int32_t* const first = nullptr;
  detail::launch("broadcast_row", gather_kernel<T>, detail::blocks_for(rows * cols, threads), threads, 0, row, first, rows, cols, out);
}

template <class T>
void scatter_add_rows(const T* values, const std::int32_t* rows, index_t count, index_t cols, T* table) {
  detail::launch("scatter_add_rows", scatter_kernel<T>, static_cast<unsigned>(count), 128, 0, values, rows, count, cols, table);
}

template <class T>
void column_sum(const T* values, index_t rows, index_t cols, T* out) {
  detail::add_column_sums("column_sum", matrix_share<T>{values, cols}, rows, cols, out);
}

template <class T>
void segment_sum(const T* values, const std::int32_t* offsets, index_t segments, index_t cols, T* out) {
  detail::launch("segment_sum", segment_sum_kernel<T>, detail::blocks_for(segments * cols, 64), 64, 0, values, offsets, segments, cols, out);
}

template <class T>
void segment_multiply(const T* values, const T* factor, const std::int32_t* offsets, index_t segments, index_t cols, T* out) {
  detail::launch("segment_multiply", segment_multiply_kernel<T>, detail::blocks_for(segments * cols, 64), 64, 0, values, factor, offsets, segments,
                 cols, out);
}

template <class T>
void segment_broadcast(const T* values, const std::int32_t* offsets, index_t segments, index_t cols, T* out) {
  segment_multiply(values, static_cast<const T*>(nullptr), offsets, segments, cols, out);
}

template <class T>
void scale_rows(const T* values, const T* factor, index_t rows, index_t cols, T* out) {
  detail::launch("scale_rows", scale_rows_kernel<T>, detail::blocks_for(rows * cols, threads), threads, 0, values, factor, rows, cols, out);
}

template <class T>
void segment_products(const T* a, const T* b, const std::int32_t* offsets, index_t segments, index_t cols, T* sum, T* largest, T* smallest) {
  detail::launch("segment_products", segment_products_kernel<T>, detail::blocks_for(segments * cols, 64), 64, 0, a, b, offsets, segments, cols, sum,
                 largest, smallest);
}

template <class T>
void rotary(const T* x, const std::int32_t* positions, const T* cos, const T* sin, index_t rows, index_t heads, index_t dim, bool transpose, T* y,
            bool accumulate) {
  detail::launch("rotary", rotary_kernel<T>, detail::blocks_for(rows * heads * dim / 2, threads), threads, 0, x, positions, cos, sin, rows, heads,
                 dim, transpose ? T{-1} : T{1}, y, accumulate);
}

#define EXPUNGE_KERNELS(T)                                                                                                             \
  &gather_rows<T>, &broadcast_row<T>, &scatter_add_rows<T>, &column_sum<T>, &segment_sum<T>, &segment_multiply<T>, &segment_broadcast<T>, \
      &scale_rows<T>, &segment_products<T>, &rotary<T>
EXPUNGE_CUDA_KEEP(EXPUNGE_KERNELS)

}  // namespace expunge::cuda
