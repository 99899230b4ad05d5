// Products by cuBLASLt: what it has to be told, asked once a kind of product and kept.
#pragma once

#include <cublasLt.h>

#include "expunge/core/shape.hpp"

namespace expunge::cuda::detail {

/// A kind of product C [m, n] = op(A) op(B), by rows: all that decides which algorithm runs, but the alignment of its memory.
struct matmul_key {
  bool transpose_a, transpose_b;
  index_t m, n, k;
  cudaDataType_t operands, result, scale;  // alpha and beta are of the type `scale`, a bias of the result's
  cublasComputeType_t compute;

  auto operator<=>(const matmul_key&) const = default;
};

/// out = alpha op(A) op(B) + beta C + bias [n] (null: none) for every row; alpha and beta lie on the host, and out may be C. False, with
/// nothing done, where cuBLASLt has no algorithm for it. The same product at the same alignment takes the same algorithm, and none sums in an order
/// that depends on timing: repeated runs give the same bits.
bool matmul(const matmul_key& key, const void* alpha, const void* a, const void* b, const void* beta, const void* c, void* out,
            const void* bias);

}  // namespace expunge::cuda::detail
