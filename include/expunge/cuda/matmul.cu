// Products by cuBLASLt, with plans that are kept.
#include "expunge/cuda/matmul.cuh"

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "expunge/cuda/launch.cuh"
#include "expunge/tensor/cuda/column_product.hpp"

namespace expunge::cuda::detail {

namespace {

/// The bytes to which a pointer is aligned, at most 256, which is what algorithms ask for at most; 0 for null.
std::uint32_t alignment(const void* p) {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  const auto lowest = static_cast<std::uint32_t>(address & (~address + 1) & 0xFFFFFFFFU);
  return p == nullptr ? 0 : lowest == 0 || lowest > 256 ? 256 : lowest;
}

using alignments = std::array<std::uint32_t, 5>;  // of left, right, C, out and the bias

constexpr const char* describing = "describing a product";

/// What cublasLtMatmul is told of a kind of product, and the algorithm; stays where it was made.
struct plan {
  std::uint64_t number;  // no other plan ever has it
  cublasLtMatmulDescOpaque_t product{};
  cublasLtMatrixLayoutOpaque_t left{}, right{}, out{};
  cublasLtMatmulAlgo_t algorithm{};
  bool found = false;

  plan(const matmul_key& key, const alignments& aligned, const void* bias) : number(++made) {
    const column_product by_columns(key.transpose_a, key.transpose_b, key.m, key.n, key.k);
    check_blas(cublasLtMatmulDescInit(&product, key.compute, key.scale), describing);
    set(CUBLASLT_MATMUL_DESC_TRANSA, by_columns.transpose_left ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, by_columns.transpose_right ? CUBLAS_OP_T : CUBLAS_OP_N);
    if (bias != nullptr) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);  // here for its alignment
    }
    lay_out(left, key.operands, by_columns.left);
    lay_out(right, key.operands, by_columns.right);
    lay_out(out, key.result, by_columns.out);
    choose(aligned);
  }

  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    check_blas(cublasLtMatmulDescSetAttribute(&product, attribute, &value, sizeof value), describing);
  }

 private:
  static void lay_out(cublasLtMatrixLayoutOpaque_t& to, cudaDataType_t type, const column_matrix& m) {
    check_blas(cublasLtMatrixLayoutInit(&to, type, static_cast<std::uint64_t>(m.rows), static_cast<std::uint64_t>(m.cols), m.rows), describing);
  }

  static inline std::uint64_t made = 0;

  void choose(const alignments& aligned) {
    cublasLtMatmulPreferenceOpaque_t preference{};
    check_blas(cublasLtMatmulPreferenceInit(&preference), describing);
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      check_blas(cublasLtMatmulPreferenceSetAttribute(&preference, attribute, &value, sizeof value), describing);
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, matmul_workspace_bytes);
    // Parts of a sum are added in float or double in one order, never in the output by whoever comes first.
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, aligned[0]);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, aligned[1]);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, aligned[2]);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, aligned[3]);
    cublasLtMatmulHeuristicResult_t best{};
    int results = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(blas(), &product, &left, &right, &out, &out, &preference, 1, &best, &results);
    if (status != CUBLAS_STATUS_NOT_SUPPORTED) check_blas(status, "choosing a product's algorithm");
    found = status == CUBLAS_STATUS_SUCCESS && results == 1 && best.state == CUBLAS_STATUS_SUCCESS;
    algorithm = best.algo;
  }
};

constexpr std::size_t most_plans = 4096;  // ragged batches are of many sizes

using factor = std::array<std::byte, sizeof(double)>;  // in the key's scale type

factor factor_at(const void* value, cudaDataType_t type) {
  factor out{};
  std::memcpy(out.data(), value, type == CUDA_R_64F ? sizeof(double) : sizeof(float));
  return out;
}

/// out = alpha a b + beta c; the plan's number makes its address one that never stands for another plan.
void multiply_on(cudaStream_t stream, plan* p, std::uint64_t /*number*/, factor alpha, const void* a, const void* b, factor beta, const void* c,
                 void* out, const void* bias) {
  if (bias != nullptr) p->set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  check_blas(cublasLtMatmul(blas(), &p->product, alpha.data(), b, &p->left, a, &p->right, beta.data(), c, &p->out, out, &p->out, &p->algorithm,
                            matmul_workspace(), matmul_workspace_bytes, stream),
             "a matrix product");
}

}  // namespace

bool matmul(const matmul_key& key, const void* alpha, const void* a, const void* b, const void* beta, const void* c, void* out,
            const void* bias) {
  static std::mutex guard;
  static std::map<std::pair<matmul_key, alignments>, plan> plans;
  const std::lock_guard lock(guard);  // also for the plan's bias and the order of the products that share a workspace (where graphs are used, the recorder's lock)
  const alignments aligned{alignment(b), alignment(a), alignment(c), alignment(out), alignment(bias)};
  if (plans.size() == most_plans) {
    submit_recorded();
    plans.clear();
  }
  plan& p = plans.try_emplace({key, aligned}, key, aligned, bias).first->second;
  if (!p.found) return false;
  submit(&multiply_on, &p, p.number, factor_at(alpha, key.scale), a, b, factor_at(beta, key.scale), c, out, bias);
  return true;
}

}  // namespace expunge::cuda::detail
