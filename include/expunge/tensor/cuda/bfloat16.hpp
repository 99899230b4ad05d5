// Numbers in bfloat16 on a device, which matrix products read; element-wise work computes with floats.
#pragma once

#include <cstdint>

#include "expunge/core/bfloat16.hpp"
#include "expunge/core/device.hpp"
#if defined(__CUDACC__)
#include <cuda_bf16.h>
#endif

namespace expunge::cuda {

/// The upper half of a float's bits.
struct bfloat16 {
  std::uint16_t bits;

  /// Rounds to nearest, ties to even.
  EXPUNGE_DEVICE bfloat16& operator=(float x) {
#if defined(__CUDACC__) && defined(__CUDA_ARCH__)
    bits = __bfloat16_as_ushort(__float2bfloat16_rn(x));
#else
    bits = bf16_from_float(x);
#endif
    return *this;
  }
  EXPUNGE_DEVICE operator float() const {
#if defined(__CUDACC__) && defined(__CUDA_ARCH__)
    return __uint_as_float(std::uint32_t{bits} << 16U);
#else
    return float_from_bf16(bits);
#endif
  }
};

}  // namespace expunge::cuda
