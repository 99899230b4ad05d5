// Matrix products: float, double, and float with operands in bfloat16; a bias and a sum are added by the product itself.
#include <tuple>

#include "expunge/core/error.hpp"
#include "expunge/cuda/launch.cuh"
#include "expunge/cuda/matmul.cuh"
#include "expunge/tensor/cuda/kernels.hpp"
#include "expunge/tensor/functor.hpp"

namespace expunge::cuda {

namespace {

constexpr const char* no_algorithm = "CUDA: cuBLASLt has no algorithm for a product of ";

template <class T>
void multiply(const detail::matmul_key& key, T alpha, const void* a, const void* b, T beta, const T* onto, T* c, const T* bias = nullptr) {
  const auto [m, n, k] = std::tuple{key.m, key.n, key.k};
  if (m == 0 || n == 0) return;
  if (k != 0 && detail::matmul(key, &alpha, a, b, &beta, onto, c, bias)) return;
  if (bias != nullptr || onto != c) {  // no algorithm adds them
    if (bias != nullptr) broadcast_row(bias, m, n, c);
    else map(m * n, functor::fill<T>{0}, c);
    if (onto != c) map(m * n, functor::axpy<T>{beta}, c, onto);
    multiply(key, alpha, a, b, T{1}, c, c);
    return;
  }
  require(k == 0, no_algorithm, m, " x ", k, " and ", k, " x ", n);
  if (beta == T{0}) map(m * n, functor::fill<T>{beta}, c);  // nothing to multiply, and nothing that cuBLASLt need promise
  else map(m * n, functor::scale<T>{beta}, c);
}
template <class T>
void multiply_onto(const detail::matmul_key& key, const void* a, const void* b, const T* bias, const T* onto, T* c) {
  if (onto == nullptr) multiply(key, T{1}, a, b, T{0}, c, c, bias);
  else multiply(key, T{1}, a, b, T{1}, onto, c, bias);
}

/// A product of T as they are.
template <class T>
detail::matmul_key plain(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k) {
  constexpr bool single = sizeof(T) == 4;
  constexpr cudaDataType_t type = single ? CUDA_R_32F : CUDA_R_64F;
  return {transpose_a, transpose_b, m, n, k, type, type, type,
          !single ? CUBLAS_COMPUTE_64F : detail::tf32_allowed() ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F};
}

/// A product on tensor cores.
detail::matmul_key rounded(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, cudaDataType_t result = CUDA_R_32F) {
  return {transpose_a, transpose_b, m, n, k, CUDA_R_16BF, result, CUDA_R_32F, CUBLAS_COMPUTE_32F};
}

}  // namespace

template <class T>
void gemm(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, T alpha, const T* a, const T* b, T beta, T* c) {
  multiply(plain<T>(transpose_a, transpose_b, m, n, k), alpha, a, b, beta, c, c);
}

template <class T>
void linear(index_t m, index_t n, index_t k, const T* x, const T* w, const T* bias, const T* onto, T* y) {
  multiply_onto(plain<T>(false, true, m, n, k), x, w, bias, onto, y);
}

void gemm(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, float alpha, const bfloat16* a, const bfloat16* b, float beta, float* c) {
  multiply(rounded(transpose_a, transpose_b, m, n, k), alpha, a, b, beta, c, c);
}

void linear(index_t m, index_t n, index_t k, const bfloat16* x, const bfloat16* w, const float* bias, const float* onto,
            float* y) {
  multiply_onto(rounded(false, true, m, n, k), x, w, bias, onto, y);
}

void gemm(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, float alpha, const bfloat16* a, const bfloat16* b, bfloat16* c) {
  if (m == 0 || n == 0) return;
  const float beta = 0;
  require(k != 0 && detail::matmul(rounded(transpose_a, transpose_b, m, n, k, CUDA_R_16BF), &alpha, a, b, &beta, c, c, nullptr), no_algorithm, m, " x ", k,
          " and ", k, " x ", n, " in bfloat16");
}

#define EXPUNGE_KERNELS(T) &gemm<T>, &linear<T>
EXPUNGE_CUDA_KEEP(EXPUNGE_KERNELS)

}  // namespace expunge::cuda
