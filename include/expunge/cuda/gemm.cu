// Matrix products by cuBLAS: float, double, and float with operands in bfloat16.
#include <cublas_v2.h>
#include <cuda_bf16.h>

#include "expunge/cuda/launch.cuh"
#include "expunge/tensor/cuda/kernels.hpp"
#include "expunge/tensor/functor.hpp"

namespace expunge::cuda {

namespace {

/// Row-major C = op(A) op(B) is column-major C^T = op(B)^T op(A)^T.
template <class T>
void multiply(cudaDataType_t operands, cublasComputeType_t compute, bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, T alpha,
              const void* a, const void* b, T beta, T* c) {
  if (m == 0 || n == 0) return;
  if (k == 0) {  // nothing to multiply, and nothing that cuBLAS need promise
    if (beta == T{0}) map(m * n, functor::fill<T>{beta}, c);
    else map(m * n, functor::scale<T>{beta}, c);
    return;
  }
  detail::check_blas(cublasGemmEx_64(detail::blas(), transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N, transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, n, m, k,
                                     &alpha, b, operands, transpose_b ? k : n, a, operands, transpose_a ? m : k, &beta, c,
                                     sizeof(T) == 4 ? CUDA_R_32F : CUDA_R_64F, n, compute, CUBLAS_GEMM_DEFAULT),
                     "a matrix product");
}

__global__ void round_kernel(index_t size, const float* from, __nv_bfloat16* to) {
  const index_t step = static_cast<index_t>(gridDim.x) * blockDim.x;
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < size; i += step) to[i] = __float2bfloat16_rn(from[i]);
}

void round_to(const detail::scratch<__nv_bfloat16>& to, index_t size, const float* from) {
  detail::launch("rounding to bfloat16", round_kernel, detail::blocks_for(size, 1024), 256, 0, size, from, to.data());
}

}  // namespace

template <class T>
void gemm(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, T alpha, const T* a, const T* b, T beta, T* c) {
  constexpr bool single = sizeof(T) == 4;
  const cublasComputeType_t compute = !single ? CUBLAS_COMPUTE_64F : detail::tf32_allowed() ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  multiply(single ? CUDA_R_32F : CUDA_R_64F, compute, transpose_a, transpose_b, m, n, k, alpha, a, b, beta, c);
}

void gemm_bfloat16(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, float alpha, const float* a, const float* b, float beta,
                   float* c) {
  if (m == 1 || n == 1) return gemm(transpose_a, transpose_b, m, n, k, alpha, a, b, beta, c);
  const detail::scratch<__nv_bfloat16> left(m * k), right(k * n);
  round_to(left, m * k, a);
  round_to(right, k * n, b);
  multiply(CUDA_R_16BF, CUBLAS_COMPUTE_32F, transpose_a, transpose_b, m, n, k, alpha, left.data(), right.data(), beta, c);
}

#define EXPUNGE_KERNELS(T) &gemm<T>
EXPUNGE_CUDA_KEEP(EXPUNGE_KERNELS)

}  // namespace expunge::cuda
