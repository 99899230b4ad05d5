// Floats rounded to bfloat16.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>
#include <cstring>

namespace expunge::cuda {

/// Two floats rounded, as an operand of multiply_matrices holds them.
inline __device__ std::uint32_t rounded_pair(float first, float second) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(first, second);
  std::uint32_t bits;
  memcpy(&bits, &both, sizeof bits);
  return bits;
}

}  // namespace expunge::cuda
