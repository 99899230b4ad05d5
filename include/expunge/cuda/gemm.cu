// Matrix products: float, double, and float with operands in bfloat16; a bias is added by the product itself.
#include <tuple>

#include "expunge/core/error.hpp"
#include "expunge/cuda/launch.cuh"
#include "expunge/cuda/matmul.cuh"
#include "expunge/tensor/cuda/kernels.hpp"
#include "expunge/tensor/functor.hpp"

namespace expunge::cuda {

namespace {

template <class T>
void multiply(const detail::matmul_key& key, T alpha, const void* a, const void* b, T beta, T* c, const T* bias = nullptr) {
  const auto [m, n, k] = std::tuple{key.m, key.n, key.k};
  if (m == 0 || n == 0) return;
  if (k != 0 && detail::matmul(key, &alpha, a, b, &beta, c, bias)) return;
  if (bias != nullptr) {  // no algorithm adds one
    broadcast_row(bias, m, n, c);
    multiply(key, alpha, a, b, T{1}, c);
    return;
  }
  require(k == 0, "CUDA: cuBLASLt has no algorithm for a product of ", m, " x ", k, " and ", k, " x ", n);
  if (beta == T{0}) map(m * n, functor::fill<T>{beta}, c);  // nothing to multiply, and nothing that cuBLASLt need promise
  else map(m * n, functor::scale<T>{beta}, c);
}

/// A product of T as they are.
template <class T>
detail::matmul_key plain(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k) {
  constexpr bool single = sizeof(T) == 4;
  return {transpose_a, transpose_b, m, n, k, single ? CUDA_R_32F : CUDA_R_64F, single ? CUDA_R_32F : CUDA_R_64F,
          !single ? CUBLAS_COMPUTE_64F : detail::tf32_allowed() ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F};
}

/// A product on tensor cores.
detail::matmul_key rounded(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k) {
  return {transpose_a, transpose_b, m, n, k, CUDA_R_16BF, CUDA_R_32F, CUBLAS_COMPUTE_32F};
}

}  // namespace

template <class T>
void gemm(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, T alpha, const T* a, const T* b, T beta, T* c) {
  multiply(plain<T>(transpose_a, transpose_b, m, n, k), alpha, a, b, beta, c);
}

template <class T>
void linear(index_t m, index_t n, index_t k, const T* x, const T* w, const T* bias, T* y) {
  multiply(plain<T>(false, true, m, n, k), T{1}, x, w, T{0}, y, bias);
}

void gemm(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, float alpha, const bfloat16* a, const bfloat16* b, float beta, float* c) {
  multiply(rounded(transpose_a, transpose_b, m, n, k), alpha, a, b, beta, c);
}

void linear(index_t m, index_t n, index_t k, const bfloat16* x, const bfloat16* w, const float* bias, float* y) {
  multiply(rounded(false, true, m, n, k), 1.0F, x, w, 0.0F, y, bias);
}

#define EXPUNGE_KERNELS(T) &gemm<T>, &linear<T>
EXPUNGE_CUDA_KEEP(EXPUNGE_KERNELS)

}  // namespace expunge::cuda
