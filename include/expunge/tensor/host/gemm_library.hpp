// Matrix products by a library instead of our own kernel: CMake's EXPUNGE_BLAS defines one of EXPUNGE_BLAS_EIGEN (float and
// double), EXPUNGE_BLAS_OPENBLAS (float and double) and EXPUNGE_BLAS_ONEDNN (float; double stays with our own kernel).
#pragma once

#include <algorithm>
#include <type_traits>

#include "expunge/core/shape.hpp"
#include "expunge/core/thread_pool.hpp"

#if defined(EXPUNGE_BLAS_EIGEN)
#include <Eigen/Core>
#elif defined(EXPUNGE_BLAS_OPENBLAS)
#include <cblas.h>
#elif defined(EXPUNGE_BLAS_ONEDNN)
#include <oneapi/dnnl/dnnl.h>

#include "expunge/core/error.hpp"
extern "C" void omp_set_num_threads(int);  // the runtime that oneDNN uses; including omp.h would need the compiler's
#endif

namespace expunge::host::detail {

/// A block of C by the library on the calling thread; strides are between rows.
#if defined(EXPUNGE_BLAS_EIGEN)
template <class T>
inline constexpr bool library_multiplies = true;

template <class T>
void library_block(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, T alpha, const T* a, index_t a_stride, const T* b,
                   index_t b_stride, T beta, T* c, index_t c_stride) {
  using matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using operand = Eigen::Map<const matrix, 0, Eigen::OuterStride<>>;
  const operand left(a, transpose_a ? k : m, transpose_a ? m : k, Eigen::OuterStride<>(a_stride));
  const operand right(b, transpose_b ? n : k, transpose_b ? k : n, Eigen::OuterStride<>(b_stride));
  Eigen::Map<matrix, 0, Eigen::OuterStride<>> result(c, m, n, Eigen::OuterStride<>(c_stride));
  if (beta == T{0}) result.setZero();
  else if (beta != T{1}) result *= beta;
  if (transpose_a && transpose_b) result.noalias() += alpha * left.transpose() * right.transpose();
  else if (transpose_a) result.noalias() += alpha * left.transpose() * right;
  else if (transpose_b) result.noalias() += alpha * left * right.transpose();
  else result.noalias() += alpha * left * right;
}
#elif defined(EXPUNGE_BLAS_OPENBLAS)
template <class T>
inline constexpr bool library_multiplies = true;

template <class T>
void library_block(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, T alpha, const T* a, index_t a_stride, const T* b,
                   index_t b_stride, T beta, T* c, index_t c_stride) {
  [[maybe_unused]] static const bool one_thread = (openblas_set_num_threads(1), true);  // the pool's threads are the only ones
  const auto op = [](bool transposed) { return transposed ? CblasTrans : CblasNoTrans; };
  const auto size = [](index_t i) { return static_cast<blasint>(i); };
  const auto multiply = [] {
    if constexpr (std::is_same_v<T, float>) return cblas_sgemm;
    else return cblas_dgemm;
  }();
  multiply(CblasRowMajor, op(transpose_a), op(transpose_b), size(m), size(n), size(k), alpha, a, size(a_stride), b, size(b_stride), beta, c,
           size(c_stride));
}
#elif defined(EXPUNGE_BLAS_ONEDNN)
template <class T>
inline constexpr bool library_multiplies = std::is_same_v<T, float>;

inline void library_block(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, float alpha, const float* a, index_t a_stride,
                          const float* b, index_t b_stride, float beta, float* c, index_t c_stride) {
  [[maybe_unused]] static thread_local const bool one_thread = (omp_set_num_threads(1), true);  // the pool's threads are the only ones
  const dnnl_status_t status =
      dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, alpha, a, a_stride, b, b_stride, beta, c, c_stride);
  require(status == dnnl_success, "oneDNN: a product of ", m, " x ", k, " and ", k, " x ", n, " failed with status ", static_cast<int>(status));
}
#else
template <class T>
inline constexpr bool library_multiplies = false;
#endif

/// As host::gemm: blocks of rows or of columns, whichever are more, shared by the pool's threads. The split depends on the
/// shape alone, so the bits do not depend on the number of threads.
template <class T>
void library_gemm(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, T alpha, const T* a, const T* b, T beta, T* c) {
  constexpr index_t most = 8, least = 16;  // blocks of a product, rows or columns of a block
  const bool by_rows = m > n;
  const index_t size = by_rows ? m : n, grain = std::max(least, (size + most * least - 1) / (most * least) * least);
  parallel_blocks(size, m * n * k < (index_t{1} << 18) ? size : grain, [&](index_t begin, index_t end) {
    const index_t i = by_rows ? begin : 0, j = by_rows ? 0 : begin, rows = by_rows ? end - begin : m, columns = by_rows ? n : end - begin;
    library_block(transpose_a, transpose_b, rows, columns, k, alpha, a + (transpose_a ? i : i * k), transpose_a ? m : k,
                  b + (transpose_b ? j * k : j), transpose_b ? k : n, beta, c + i * n + j, n);
  });
}

}  // namespace expunge::host::detail
