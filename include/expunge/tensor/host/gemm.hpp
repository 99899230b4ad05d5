// Matrix products on the host, by our own kernel or by the library that CMake's EXPUNGE_BLAS names.
#pragma once

#include "expunge/core/shape.hpp"
#include "expunge/tensor/host/gemm_few_rows.hpp"
#include "expunge/tensor/host/gemm_library.hpp"
#include "expunge/tensor/host/gemm_long_depth.hpp"
#include "expunge/tensor/host/gemm_own.hpp"

namespace expunge::host {

/// C[m, n] = alpha * op(A) op(B) + beta * C, row-major and contiguous; op(A) is [m, k], op(B) is [k, n], and a transposed
/// operand is stored as [k, m] or [n, k]. beta = 0 never reads C. The same bits for any number of threads.
template <class T>
void gemm(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, T alpha, const T* a, const T* b, T beta, T* c) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    for (index_t i = 0; i < m * n; ++i) c[i] = beta == T{0} ? T{0} : beta * c[i];
    return;
  }
  if constexpr (detail::library_multiplies<T>) detail::library_gemm(transpose_a, transpose_b, m, n, k, alpha, a, b, beta, c);
  else if (!transpose_a && !transpose_b && detail::has_long_depth(m, n, k)) detail::long_depth_gemm(m, n, k, alpha, a, b, beta, c);
  else if (!transpose_a && transpose_b && m <= detail::few_rows<T>) detail::few_rows_gemm(m, n, k, alpha, a, b, beta, c);
  else detail::own_gemm(transpose_a, transpose_b, m, n, k, alpha, a, b, beta, c);
}

}  // namespace expunge::host
