// RMSNorm and LayerNorm: a block of threads for each row, sums over rows for the weights.
#include "expunge/cuda/block_lanes.cuh"
#include "expunge/cuda/column_sum.cuh"
#include "expunge/cuda/launch.cuh"
#include "expunge/tensor/cuda/kernels.hpp"
#include "expunge/tensor/cuda/norm_rows.hpp"

namespace expunge::cuda {

namespace {

/// Of a row's block: the shorter the row, the more rows a multiprocessor has at work.
unsigned threads_for(index_t cols) { return cols <= 1024 ? 64 : cols <= 2048 ? 128 : 256; }

template <class T, class Y>
__global__ void forward_kernel(const T* x, const T* w, const T* b, T epsilon, index_t cols, Y* y, T* mean, T* rstd) {
  detail::wait_for_earlier_work();
  norm_forward(block_lanes{}, x, w, b, epsilon, blockIdx.x, cols, y, mean, rstd);
}
template <class T, class Y>
__global__ void pushforward_kernel(norm_arguments<T> n, Y* dy) {
  detail::wait_for_earlier_work();
  norm_pushforward(block_lanes{}, n, blockIdx.x, dy);
}
template <class T>
__global__ void pullback_kernel(norm_arguments<T> n, T* x_bar) {
  detail::wait_for_earlier_work();
  norm_pullback(block_lanes{}, n, blockIdx.x, x_bar);
}
template <class T>
__global__ void pullback_tangent_kernel(norm_arguments<T> n, T* dx_bar, projection<T>* projections) {
  detail::wait_for_earlier_work();
  norm_pullback_tangent(block_lanes{}, n, blockIdx.x, dx_bar, projections);
}

}  // namespace

template <class T, class Y>
void rms_norm(const T* x, const T* w, T epsilon, index_t rows, index_t cols, Y* y, T* rstd) {
  layer_norm<T>(x, w, nullptr, epsilon, rows, cols, y, nullptr, rstd);
}
template <class T, class Y>
void layer_norm(const T* x, const T* w, const T* b, T epsilon, index_t rows, index_t cols, Y* y, T* mean, T* rstd) {
  detail::launch("a norm", forward_kernel<T, Y>, static_cast<unsigned>(rows), threads_for(cols), 0, x, w, b, epsilon, cols, y, mean, rstd);
}
template <class T, class Y>
void norm_pushforward(const T* x, const T* w, const T* mean, const T* rstd, const T* dx, const T* dw, const T* db, index_t rows, index_t cols, Y* dy) {
  const norm_arguments<T> n{cols, x, w, mean, rstd, dx, dw, db, nullptr, nullptr};
  detail::launch("norm_pushforward", pushforward_kernel<T, Y>, static_cast<unsigned>(rows), threads_for(cols), 0, n, dy);
}
template <class T>
void norm_pullback(const T* x, const T* w, const T* mean, const T* rstd, const T* y_bar, index_t rows, index_t cols, T* x_bar, destination<T> w_bar,
                   destination<T> b_bar) {
  const char* const what = "norm_pullback";
  const norm_arguments<T> n{cols, x, w, mean, rstd, nullptr, nullptr, nullptr, y_bar, nullptr};
  if (x_bar != nullptr) detail::launch(what, pullback_kernel<T>, static_cast<unsigned>(rows), threads_for(cols), 0, n, x_bar);
  if (w_bar.at != nullptr) detail::put_column_sums(what, norm_weight_share<T>{n}, rows, cols, w_bar);
  if (b_bar.at != nullptr) detail::put_column_sums(what, matrix_share<T>{y_bar, cols}, rows, cols, b_bar);
}
template <class T>
void norm_pullback_tangent(const T* x, const T* w, const T* mean, const T* rstd, const T* dx, const T* dw, const T* y_bar, const T* dy_bar,
                           index_t rows, index_t cols, T* dx_bar, destination<T> dw_bar, destination<T> db_bar) {
  const char* const what = "norm_pullback_tangent";
  const norm_arguments<T> n{cols, x, w, mean, rstd, dx, dw, nullptr, y_bar, dy_bar};
  const detail::scratch<projection<T>> projections(rows);
  detail::launch(what, pullback_tangent_kernel<T>, static_cast<unsigned>(rows), threads_for(cols), 0, n, dx_bar, projections.data());
  if (dw_bar.at != nullptr) detail::put_column_sums(what, norm_weight_tangent_share<T>{n, projections.data()}, rows, cols, dw_bar);
  if (db_bar.at != nullptr && (dy_bar != nullptr || db_bar.empty)) detail::put_column_sums(what, matrix_share<T>{dy_bar, cols}, rows, cols, db_bar);
}

#define EXPUNGE_KERNELS(T) &rms_norm<T, T>, &layer_norm<T, T>, &norm_pushforward<T, T>, &norm_pullback<T>, &norm_pullback_tangent<T>
EXPUNGE_CUDA_KEEP(EXPUNGE_KERNELS)
EXPUNGE_CUDA_KEEP_ALSO(&rms_norm<float, bfloat16>, &layer_norm<float, bfloat16>, &norm_pushforward<float, bfloat16>)

}  // namespace expunge::cuda
