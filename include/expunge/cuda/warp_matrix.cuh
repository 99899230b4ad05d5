// The instructions that products in bfloat16 are made of (PTX ISA, "Warp Level Matrix Instructions"), and one beside them.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

namespace expunge::cuda {

/// What a lane holds of four matrices of 8 x 8, two elements each.
struct matrix_registers {
  std::uint32_t at[4];
};

#ifdef __CUDACC__  // an emulated device has its own

/// Lane 8 m + r names row r of matrix m, 8 elements at a multiple of 16 bytes in shared memory. Lane l gets of each matrix the elements
/// 2 (l % 4) and the next of row l / 4, or with Transposed of column l / 4.
template <bool Transposed>
__device__ __forceinline__ matrix_registers load_matrices(const __nv_bfloat16* row) {
  matrix_registers to;
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to.at[0]), "=r"(to.at[1]), "=r"(to.at[2]), "=r"(to.at[3])
                 : "r"(address)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to.at[0]), "=r"(to.at[1]), "=r"(to.at[2]), "=r"(to.at[3])
                 : "r"(address)
                 : "memory");
  return to;
}

/// sum += a b with a of 16 x 16: the matrices of its upper and lower rows on the left, then on the right; b of 16 x 8, held by columns: its
/// upper, then its lower rows. Lane l holds of the sum, 16 x 8, the elements 2 (l % 4) and the next of row l / 4, then of row 8 + l / 4.
__device__ __forceinline__ void multiply_matrices(float (&sum)[4], const matrix_registers& a, std::uint32_t upper, std::uint32_t lower) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(upper), "r"(lower));
}

/// 2^x to 22 bits, and 0 where that has no normal number.
__device__ __forceinline__ float approximate_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

#endif

}  // namespace expunge::cuda
