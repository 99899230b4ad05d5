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
  detail::wait_for_earlier_work();
  const index_t i = this_thread();
  if (i < count * cols) out[i] = table[(rows != nullptr ? rows[i / cols] * cols : 0) + i % cols];
}

__global__ void link_kernel(const std::int32_t* rows, index_t count, std::int32_t* links) {
  detail::wait_for_earlier_work();
  link_row(block_lanes{}, rows, count, blockIdx.x, links);
}

template <class T>
__global__ void scatter_kernel(const T* values, const std::int32_t* rows, const std::int32_t* links, index_t count, index_t cols, T* table) {
  detail::wait_for_earlier_work();
  const index_t j = static_cast<index_t>(blockIdx.y) * blockDim.x + threadIdx.x;
  if (j < cols) scatter_column(values, rows, links, count, cols, table, blockIdx.x, j);
}

/// A thread for column j of segment s: i = s * cols + j.
template <class T>
__global__ void segment_sum_kernel(const T* values, const std::int32_t* offsets, index_t segments, index_t cols, T* out) {
  detail::wait_for_earlier_work();
  const index_t i = this_thread(), s = i / cols;
  if (s < segments) segment_sum_column(values, offsets[s], offsets[s + 1], cols, i % cols, out + i);
}

constexpr int row_slices = 16;  // of a segment, that different threads take

template <class T>
__global__ void segment_multiply_kernel(const T* values, index_t step, const T* factor, const std::int32_t* offsets, index_t segments, index_t cols,
                                        T* out) {
  detail::wait_for_earlier_work();
  const index_t i = this_thread(), s = i / cols, j = i % cols;
  const lane_of slice{static_cast<int>(blockIdx.y), row_slices};
  if (s < segments) segment_multiply_column(slice, values[s * step + j], factor, offsets[s], offsets[s + 1], cols, j, out);
}

/// A thread for Count neighbours of a row.
template <int Count, class T, class Y>
__global__ void scale_rows_kernel(const T* values, const T* factor, index_t rows, index_t cols, Y* out) {
  detail::wait_for_earlier_work();
  const index_t i = this_thread() * Count;
  if (i >= rows * cols) return;
  const auto from = reinterpret_cast<const neighbours<Count, T>*>(values)[i / Count];
  neighbours<Count, Y> scaled;
  for (int u = 0; u < Count; ++u) scaled.at[u] = from.at[u] * factor[i / cols];
  reinterpret_cast<neighbours<Count, Y>*>(out)[i / Count] = scaled;
}

/// A warp for 32 columns and one of row_slices; the first adds what the others found, in order.
template <class T>
__global__ void segment_products_kernel(const T* a, const T* b, const std::int32_t* offsets, index_t segments, index_t cols, T* sum, T* largest,
                                        T* smallest) {
  detail::wait_for_earlier_work();
  __shared__ T found[3][row_slices][32];
  const unsigned slice = threadIdx.x / 32, lane = threadIdx.x % 32;
  const index_t i = static_cast<index_t>(blockIdx.x) * 32 + lane, s = i / cols;
  column_products<T> of;
  if (s < segments) of = segment_products_column(lane_of{static_cast<int>(slice), row_slices}, a, b, offsets[s], offsets[s + 1], cols, i % cols);
  found[0][slice][lane] = of.sum, found[1][slice][lane] = of.largest, found[2][slice][lane] = of.smallest;
  __syncthreads();
  if (slice != 0 || s >= segments) return;
  const index_t rows = offsets[s + 1] - offsets[s];
  for (int k = 1; k < row_slices && k < rows; ++k) of.add({found[0][k][lane], found[1][k][lane], found[2][k][lane], false});
  if (sum != nullptr) sum[i] = of.sum;
  if (largest != nullptr) largest[i] = of.largest;
  if (smallest != nullptr) smallest[i] = of.smallest;
}

template <int Count, class T, class X, class Y>
__global__ void rotary_kernel(const X* x, const std::int32_t* positions, const T* cos, const T* sin, index_t rows, index_t heads, index_t dim,
                              T direction, Y* y, bool accumulate) {
  detail::wait_for_earlier_work();
  const index_t i = this_thread() * Count, pairs = heads * dim / 2;
  if (i < rows * pairs) rotary_pairs<Count>(x, positions, cos, sin, heads, dim, direction, y, accumulate, i / pairs, i % pairs);
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
  const detail::scratch<std::int32_t> links(count);
  detail::launch("scatter_add_rows", link_kernel, static_cast<unsigned>(count), 128, 0, rows, count, links.data());
  detail::launch("scatter_add_rows", scatter_kernel<T>, dim3(static_cast<unsigned>(count), detail::blocks_for(cols, 128)), 128, 0, values, rows,
                 static_cast<const std::int32_t*>(links.data()), count, cols, table);
}

template <class T>
void column_sum(const T* values, index_t rows, index_t cols, destination<T> out) {
  detail::put_column_sums("column_sum", matrix_share<T>{values, cols}, rows, cols, out);
}

template <class T>
void segment_sum(const T* values, const std::int32_t* offsets, index_t segments, index_t cols, T* out) {
  detail::launch("segment_sum", segment_sum_kernel<T>, detail::blocks_for(segments * cols, 64), 64, 0, values, offsets, segments, cols, out);
}

template <class T>
void segment_multiply(const T* values, index_t step, const T* factor, const std::int32_t* offsets, index_t segments, index_t cols, T* out) {
  detail::launch("segment_multiply", segment_multiply_kernel<T>, dim3(detail::blocks_for(segments * cols, 128), row_slices), 128, 0, values, step,
                 factor, offsets, segments, cols, out);
}

template <class T>
void segment_broadcast(const T* values, const std::int32_t* offsets, index_t segments, index_t cols, T* out) {
  segment_multiply(values, cols, static_cast<const T*>(nullptr), offsets, segments, cols, out);
}

template <class T, class Y>
void scale_rows(const T* values, const T* factor, index_t rows, index_t cols, Y* out) {
  constexpr int together = element_pack<T>::size;
  const auto run = [&](auto kernel, int count) {
    detail::launch("scale_rows", kernel, detail::blocks_for(rows * cols / count, threads), threads, 0, values, factor, rows, cols, out);
  };
  if (cols % together == 0 && detail::packed(values, out)) run(scale_rows_kernel<together, T, Y>, together);
  else run(scale_rows_kernel<1, T, Y>, 1);
}

template <class T>
void segment_products(const T* a, const T* b, const std::int32_t* offsets, index_t segments, index_t cols, T* sum, T* largest, T* smallest) {
  detail::launch("segment_products", segment_products_kernel<T>, detail::blocks_for(segments * cols, 32), 32 * row_slices, 0, a, b, offsets, segments,
                 cols, sum, largest, smallest);
}

template <class T, class X, class Y>
void rotary(const X* x, const std::int32_t* positions, const T* cos, const T* sin, index_t rows, index_t heads, index_t dim, bool transpose, Y* y,
            bool accumulate) {
  constexpr int together = element_pack<T>::size;
  const auto run = [&](auto kernel, int count) {
    detail::launch("rotary", kernel, detail::blocks_for(rows * heads * dim / 2 / count, threads), threads, 0, x, positions, cos, sin, rows, heads, dim,
                   transpose ? T{-1} : T{1}, y, accumulate);
  };
  if (dim % (2 * together) == 0 && detail::packed(x, cos, sin, y)) run(rotary_kernel<together, T, X, Y>, together);
  else run(rotary_kernel<1, T, X, Y>, 1);
}

#define EXPUNGE_KERNELS(T)                                                                                                             \
  &gather_rows<T>, &broadcast_row<T>, &scatter_add_rows<T>, &column_sum<T>, &segment_sum<T>, &segment_multiply<T>, &segment_broadcast<T>, \
      &scale_rows<T, T>, &segment_products<T>, &rotary<T, T, T>
EXPUNGE_CUDA_KEEP(EXPUNGE_KERNELS)
EXPUNGE_CUDA_KEEP_ALSO(&scale_rows<float, bfloat16>, &rotary<float, bfloat16, bfloat16>, &rotary<float, float, bfloat16>)

}  // namespace expunge::cuda
