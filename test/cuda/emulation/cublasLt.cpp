// Products as cuBLASLt documents them, by plain loops.
#include "cublasLt.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <random>
#include <vector>

#include "emulation.hpp"
#include "expunge/core/bfloat16.hpp"

namespace {

using layout = cublasLtMatrixLayoutOpaque_t;

std::uint32_t bytes_of(cudaDataType_t type) {
  return type == CUDA_R_64F ? 8 : type == CUDA_R_32F ? 4 : 2;
}

bool same(const layout& a, const layout& b) {
  return a.type == b.type && a.rows == b.rows && a.cols == b.cols && a.leading == b.leading;
}

/// Does the documentation's table of types have this product, and do its sizes fit?
cublasStatus_t possible(const cublasLtMatmulDescOpaque_t& p, const layout& a, const layout& b, const layout& c,
                        const layout& d) {
  for (const layout* l : {&a, &b, &c, &d})
    if (l->rows == 0 || l->cols == 0 || l->leading < static_cast<std::int64_t>(l->rows))
      return CUBLAS_STATUS_INVALID_VALUE;
  const bool ta = p.transpose_a == CUBLAS_OP_T, tb = p.transpose_b == CUBLAS_OP_T;
  if ((ta ? a.cols : a.rows) != d.rows || (tb ? b.rows : b.cols) != d.cols ||
      (ta ? a.rows : a.cols) != (tb ? b.cols : b.rows) || !same(c, d))
    return CUBLAS_STATUS_INVALID_VALUE;
  const bool doubles = p.compute == CUBLAS_COMPUTE_64F;
  const bool operands = a.type == b.type &&
                        (doubles ? a.type == CUDA_R_64F
                                 : a.type == CUDA_R_32F || (a.type == CUDA_R_16BF && p.compute == CUBLAS_COMPUTE_32F));
  const cudaDataType_t scale = doubles ? CUDA_R_64F : CUDA_R_32F;
  const bool result = c.type == scale || (c.type == CUDA_R_16BF && a.type == CUDA_R_16BF);
  if (!operands || p.scale != scale || !result) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (p.epilogue == CUBLASLT_EPILOGUE_BIAS && c.type != scale)
    return CUBLAS_STATUS_NOT_SUPPORTED;  // the bias would be in bfloat16
  if (doubles && p.epilogue != CUBLASLT_EPILOGUE_DEFAULT)
    return CUBLAS_STATUS_NOT_SUPPORTED;  // of this one cannot be sure: take it away
  return CUBLAS_STATUS_SUCCESS;
}

template <class T>
T element(const void* from, const layout& l, std::size_t place) {
  if (l.type == CUDA_R_16BF) return static_cast<T>(expunge::float_from_bf16(static_cast<const std::uint16_t*>(from)[place]));
  return static_cast<const T*>(from)[place];
}

/// op(matrix) by rows, in the precision of the sum.
template <class T>
std::vector<T> operand(const void* from, const layout& l, bool transpose, bool tf32) {
  std::vector<T> out;
  out.reserve(l.rows * l.cols);
  const auto at = [&](std::uint64_t row, std::uint64_t col) {
    const std::size_t place = row + col * static_cast<std::size_t>(l.leading);
    const T value = element<T>(from, l, place);
    if constexpr (sizeof(T) == 4)
      if (tf32)
        return std::bit_cast<float>((std::bit_cast<std::uint32_t>(value) + 0x1000U) & ~0x1FFFU);  // 10 bits of mantissa
    return value;
  };
  for (std::uint64_t i = 0; i < (transpose ? l.cols : l.rows); ++i)
    for (std::uint64_t j = 0; j < (transpose ? l.rows : l.cols); ++j) out.push_back(transpose ? at(j, i) : at(i, j));
  return out;
}

struct job {
  cublasLtMatmulDescOpaque_t product;
  layout a_layout, b_layout, d_layout;
  const void *a, *b, *c;
  void* d;
  std::vector<std::size_t> order;  // of the terms of a sum
};

template <class T>
void multiply(const job& w, T alpha, T beta) {
  const bool tf32 = w.product.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  const auto a = operand<T>(w.a, w.a_layout, w.product.transpose_a == CUBLAS_OP_T, tf32);
  const auto b = operand<T>(w.b, w.b_layout, w.product.transpose_b != CUBLAS_OP_T,
                            tf32);  // transposed: a sum runs along rows of both
  const std::size_t m = w.d_layout.rows, n = w.d_layout.cols, k = w.order.size();
  for (std::size_t j = 0; j < n; ++j)
    for (std::size_t i = 0; i < m; ++i) {
      T sum = 0;
      for (const std::size_t p : w.order) sum += a[i * k + p] * b[j * k + p];
      const std::size_t place = i + j * static_cast<std::size_t>(w.d_layout.leading);
      T out = alpha * sum;
      if (beta != T{0}) out += beta * element<T>(w.c, w.d_layout, place);  // else what is there counts for nothing
      if (w.product.epilogue == CUBLASLT_EPILOGUE_BIAS) out += static_cast<const T*>(w.product.bias)[i];
      if (w.d_layout.type == CUDA_R_16BF)
        static_cast<std::uint16_t*>(w.d)[place] = expunge::bf16_from_float(static_cast<float>(out));
      else
        static_cast<T*>(w.d)[place] = out;
    }
}

template <class A, class V>
cublasStatus_t assign(A& to, const V* value, std::size_t bytes) {
  if (value == nullptr || bytes != sizeof to) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&to, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

bool aligned(const void* p, std::uint32_t bytes) {
  return reinterpret_cast<std::uintptr_t>(p) % bytes == 0;
}

}  // namespace

const char* cublasLtGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    default:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = nullptr;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t) {
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescInit(cublasLtMatmulDescOpaque_t* product, cublasComputeType_t compute,
                                      cudaDataType_t scale) {
  *product = {compute, scale, CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, nullptr};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDescOpaque_t* product,
                                              cublasLtMatmulDescAttributes_t attribute, const void* value,
                                              std::size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return assign(product->transpose_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return assign(product->transpose_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return assign(product->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return assign(product->bias, value, bytes);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutInit(layout* to, cudaDataType_t type, std::uint64_t rows, std::uint64_t cols,
                                        std::int64_t leading) {
  *to = {type, rows, cols, leading};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceInit(cublasLtMatmulPreferenceOpaque_t* preference) {
  *preference = {0, CUBLASLT_REDUCTION_SCHEME_MASK, {256, 256, 256, 256}};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreferenceOpaque_t* preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
                                                    std::size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return assign(preference->workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return assign(preference->reductions, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      return assign(preference->alignment[0], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      return assign(preference->alignment[1], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      return assign(preference->alignment[2], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return assign(preference->alignment[3], value, bytes);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, const cublasLtMatmulDescOpaque_t* product,
                                              const layout* a, const layout* b, const layout* c, const layout* d,
                                              const cublasLtMatmulPreferenceOpaque_t* preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t* results, int* found) {
  *found = 0;
  if (wanted < 1) return CUBLAS_STATUS_INVALID_VALUE;
  if (const cublasStatus_t status = possible(*product, *a, *b, *c, *d); status != CUBLAS_STATUS_SUCCESS) return status;
  cublasLtMatmulAlgo_t algorithm{*product,
                                 {*a, *b, *c, *d},
                                 {},
                                 preference->workspace,
                                 (preference->reductions & CUBLASLT_REDUCTION_SCHEME_INPLACE) == 0};
  for (int i = 0; i < 4; ++i) {
    algorithm.alignment[i] = preference->alignment[i];
    if (preference->alignment[i] < bytes_of(algorithm.layout[i].type)) return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  *results = {algorithm, preference->workspace, CUBLAS_STATUS_SUCCESS};
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, const cublasLtMatmulDescOpaque_t* product, const void* alpha,
                              const void* a, const layout* a_layout, const void* b, const layout* b_layout,
                              const void* beta, const void* c, const layout* c_layout, void* d, const layout* d_layout,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace, std::size_t workspace_bytes,
                              cudaStream_t stream) {
  const layout* const layouts[] = {a_layout, b_layout, c_layout, d_layout};
  const void* const memory[] = {a, b, c, d};
  const auto& chosen_for = algorithm->product;
  bool fits = product->compute == chosen_for.compute && product->transpose_a == chosen_for.transpose_a &&
              product->transpose_b == chosen_for.transpose_b && product->epilogue == chosen_for.epilogue &&
              workspace_bytes >= algorithm->workspace && aligned(workspace, 16);
  for (int i = 0; i < 4; ++i)
    fits = fits && memory[i] != nullptr && same(*layouts[i], algorithm->layout[i]) &&
           aligned(memory[i], algorithm->alignment[i]);
  if (product->epilogue == CUBLASLT_EPILOGUE_BIAS) fits = fits && product->bias != nullptr;
  if (!fits) return CUBLAS_STATUS_INVALID_VALUE;
  emulation::set_aside(workspace);

  job work{*product,
           *a_layout,
           *b_layout,
           *d_layout,
           a,
           b,
           c,
           d,
           std::vector<std::size_t>(product->transpose_a == CUBLAS_OP_T ? a_layout->rows : a_layout->cols)};
  std::iota(work.order.begin(), work.order.end(), 0U);
  static std::mt19937 timing;
  if (!algorithm->ordered) std::shuffle(work.order.begin(), work.order.end(), timing);
  cudaError_t status = cudaSuccess;
  if (product->scale == CUDA_R_64F)
    status = emulation::submit(stream, [work, x = *static_cast<const double*>(alpha), y = *static_cast<const double*>(beta)] {
      multiply(work, x, y);
    });
  else
    status = emulation::submit(
        stream, [work, x = *static_cast<const float*>(alpha), y = *static_cast<const float*>(beta)] { multiply(work, x, y); });
  return status == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
