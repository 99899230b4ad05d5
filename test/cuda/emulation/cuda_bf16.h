// bfloat16 as the emulated device's kernels use it.
#pragma once

#include "cuda_runtime.h"
#include "expunge/core/bfloat16.hpp"

struct __nv_bfloat16 {
  std::uint16_t bits;
};
inline __nv_bfloat16 __float2bfloat16_rn(float x) {
  return {expunge::bf16_from_float(x)};
}
