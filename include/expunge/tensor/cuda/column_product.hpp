// How cuBLAS, which stores matrices by columns, sees a product of matrices that are stored by rows.
#pragma once

#include "expunge/core/shape.hpp"

namespace expunge::cuda {

/// A matrix by columns; its leading dimension is its number of rows.
struct column_matrix {
  index_t rows, cols;
};

/// A matrix by rows, read by columns, is its transpose: C = op(A) op(B) becomes C^T = op(B)^T op(A)^T, out = op(left) op(right). A bias
/// of C's columns is one of out's rows, which is the bias that cuBLASLt can add.
struct column_product {
  bool transpose_left, transpose_right;
  column_matrix left, right, out;

  /// Of C [m, n] = op(A) op(B), stored as host/gemm.hpp says; `left` is B's memory and `right` A's.
  constexpr column_product(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k)
      : transpose_left(transpose_b), transpose_right(transpose_a), left(transpose_b ? column_matrix{k, n} : column_matrix{n, k}),
        right(transpose_a ? column_matrix{m, k} : column_matrix{k, m}), out{n, m} {}
};

}  // namespace expunge::cuda
