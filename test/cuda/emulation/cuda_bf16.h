// bfloat16 as the emulated device's kernels use it.
#pragma once

#include "emulation.hpp"
#include "expunge/core/bfloat16.hpp"

struct __nv_bfloat16 {
  std::uint16_t bits;
  operator float() const { return expunge::float_from_bf16(bits); }
};
inline __nv_bfloat16 __float2bfloat16_rn(float x) {
  return {expunge::bf16_from_float(x)};
}
struct __nv_bfloat162 {
  __nv_bfloat16 x, y;
};
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) {
  return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)};
}

namespace expunge::cuda {

/// The warp's matrix instructions (include/expunge/cuda/warp_matrix.cuh): lanes exchange what others of their warp hold.
template <bool Transposed, class Registers = struct matrix_registers>
Registers load_matrices(const __nv_bfloat16* row) {
  const unsigned lane = threadIdx.x % 32;
  if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0) emulation::fail(cudaErrorMisalignedAddress, "a matrix row is not at a multiple of 16 bytes");
  const auto row_of = [&](unsigned other) {
    return reinterpret_cast<const __nv_bfloat16*>(emulation::exchange(0xFFFFFFFFU, lane ^ other, reinterpret_cast<std::uintptr_t>(row)));
  };
  Registers to;
  for (unsigned m = 0; m < 4; ++m) {
    std::uint32_t found[2];
    for (unsigned e = 0; e < 2; ++e)
      found[e] = Transposed ? row_of(8 * m + 2 * (lane % 4) + e)[lane / 4].bits : row_of(8 * m + lane / 4)[2 * (lane % 4) + e].bits;
    to.at[m] = found[0] | found[1] << 16;
  }
  return to;
}

template <class Registers>
void multiply_matrices(float (&sum)[4], const Registers& a, std::uint32_t upper, std::uint32_t lower) {
  const unsigned lane = threadIdx.x % 32;
  const auto held = [&](unsigned other, std::uint32_t first, std::uint32_t second) {
    return emulation::exchange(0xFFFFFFFFU, lane ^ other, first | std::uint64_t{second} << 32);
  };
  const auto element = [](std::uint64_t of, unsigned i) { return expunge::float_from_bf16(static_cast<std::uint16_t>(of >> (16 * i))); };
  for (unsigned t = 0; t < 4; ++t) {  // elements 2 t, the next, and those 8 further on, of the inner extent
    const std::uint64_t above = held(lane / 4 * 4 + t, a.at[0], a.at[2]), below = held(lane / 4 * 4 + t, a.at[1], a.at[3]);
    for (unsigned column = 0; column < 2; ++column) {
      const std::uint64_t b = held((2 * (lane % 4) + column) * 4 + t, upper, lower);
      for (unsigned k = 0; k < 4; ++k) sum[column] += element(above, k) * element(b, k), sum[2 + column] += element(below, k) * element(b, k);
    }
  }
}

inline float approximate_exp2(float x) { return std::exp2(x); }

}  // namespace expunge::cuda
