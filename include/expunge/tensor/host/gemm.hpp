// Matrix products on the host: Eigen, split into independent blocks of the result.
#pragma once

#include <algorithm>

#include <Eigen/Core>

#include "expunge/core/thread_pool.hpp"

namespace expunge::host {

namespace detail {

template <class T>
using matrix_map = Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>, 0, Eigen::OuterStride<>>;
template <class T>
using const_matrix_map =
    Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>, 0, Eigen::OuterStride<>>;

template <class T, class A, class B>
void gemm_block(const A& a, const B& b, T alpha, T beta, matrix_map<T> c) {
  if (beta == T{0})
    c.noalias() = alpha * (a * b);
  else {
    if (beta != T{1}) c *= beta;
    c.noalias() += alpha * (a * b);
  }
}

}  // namespace detail

/// C[m, n] = alpha * op(A) op(B) + beta * C, row-major and contiguous; op(A) is [m, k], op(B) is [k, n], and a transposed
/// operand is stored as [k, m] or [n, k]. beta = 0 never reads C. The split depends on the shapes alone.
template <class T>
void gemm(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, T alpha, const T* a, const T* b, T beta, T* c) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    for (index_t i = 0; i < m * n; ++i) c[i] = beta == T{0} ? T{0} : beta * c[i];
    return;
  }
  const bool by_rows = m >= n;
  const index_t extent = by_rows ? m : n;
  const index_t wanted = std::min<index_t>(16, m * n * k / (index_t{1} << 21) + 1);
  const index_t grain = std::max<index_t>(16, ((extent + wanted - 1) / wanted + 15) / 16 * 16);
  parallel_blocks(extent, grain, [&](index_t begin, index_t end) {
    const index_t row = by_rows ? begin : 0;
    const index_t rows = by_rows ? end - begin : m;
    const index_t col = by_rows ? 0 : begin;
    const index_t cols = by_rows ? n : end - begin;
    const detail::const_matrix_map<T> left(transpose_a ? a + row : a + row * k, transpose_a ? k : rows,
                                           transpose_a ? rows : k, Eigen::OuterStride<>(transpose_a ? m : k));
    const detail::const_matrix_map<T> right(transpose_b ? b + col * k : b + col, transpose_b ? cols : k,
                                            transpose_b ? k : cols, Eigen::OuterStride<>(transpose_b ? k : n));
    const detail::matrix_map<T> out(c + row * n + col, rows, cols, Eigen::OuterStride<>(n));
    if (transpose_a && transpose_b) detail::gemm_block<T>(left.transpose(), right.transpose(), alpha, beta, out);
    else if (transpose_a) detail::gemm_block<T>(left.transpose(), right, alpha, beta, out);
    else if (transpose_b) detail::gemm_block<T>(left, right.transpose(), alpha, beta, out);
    else detail::gemm_block<T>(left, right, alpha, beta, out);
  });
}

}  // namespace expunge::host
