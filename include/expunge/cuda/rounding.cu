// Operands of products rounded to bfloat16.
#include "expunge/cuda/rounding.cuh"
#include "expunge/tensor/cuda/element_pack.hpp"
#include "expunge/tensor/cuda/kernels.hpp"

namespace expunge::cuda {

namespace {

/// `to` begins at a multiple of 8 bytes.
__device__ void store_rounded(const element_pack<float>& from, __nv_bfloat16* to) {
  struct alignas(8) pack {
    __nv_bfloat16 at[4];
  };
  *reinterpret_cast<pack*>(to) = {__float2bfloat16_rn(from.at[0]), __float2bfloat16_rn(from.at[1]), __float2bfloat16_rn(from.at[2]),
                                  __float2bfloat16_rn(from.at[3])};
}

__global__ void round_kernel(index_t size, bool packed, const float* from, __nv_bfloat16* to) {
  const index_t first = (static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x) * element_pack<float>::size;
  if (packed && first + element_pack<float>::size <= size) store_rounded(*reinterpret_cast<const element_pack<float>*>(from + first), to + first);
  else
    for (index_t i = first; i < size && i < first + element_pack<float>::size; ++i) to[i] = __float2bfloat16_rn(from[i]);
}

}  // namespace

namespace detail {

void round(const float* from, index_t size, __nv_bfloat16* to) {
  launch("rounding to bfloat16", round_kernel, blocks_for(size, 1024), 256, 0, size, packed(from), from, to);
}

scratch<__nv_bfloat16> rounded(const float* from, index_t size) {
  if (from == nullptr) return {};
  scratch<__nv_bfloat16> memory(size);
  round(from, size, memory.data());
  return memory;
}

}  // namespace detail

void round(const float* from, index_t size, bfloat16* to) { detail::round(from, size, reinterpret_cast<__nv_bfloat16*>(to)); }

}  // namespace expunge::cuda
