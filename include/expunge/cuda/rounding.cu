// Operands of products rounded to bfloat16, and those that are kept so.
#include <iterator>
#include <map>
#include <mutex>

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

/// What hold_bfloat16() was told of, by its first element; rounded by the first product that needs it.
struct held_elements {
  index_t size;
  detail::scratch<__nv_bfloat16> copy;  // none yet
};
std::mutex holding;
std::map<const float*, held_elements> held;

}  // namespace

namespace detail {

scratch<__nv_bfloat16> rounded(const float* from, index_t size) {
  if (from == nullptr) return {};
  scratch<__nv_bfloat16> memory(size);
  launch("rounding to bfloat16", round_kernel, blocks_for(size, 1024), 256, 0, size, packed(from), from, memory.data());
  return memory;
}

rounded_operand::rounded_operand(const float* from, index_t size) {
  const std::lock_guard lock(holding);
  if (auto after = held.upper_bound(from); after != held.begin())
    if (auto& [first, whole] = *std::prev(after); from - first + size <= whole.size) {
      if (whole.copy.data() == nullptr) whole.copy = rounded(first, whole.size);
      data_ = whole.copy.data() + (from - first);
      return;
    }
  own_ = rounded(from, size);
  data_ = own_.data();
}

}  // namespace detail

std::shared_ptr<void> hold_bfloat16(const float* elements, index_t size) {
  const std::lock_guard lock(holding);
  held[elements].size = size;
  return {nullptr, [elements](void*) {
            const std::lock_guard release(holding);
            held.erase(elements);
          }};
}

}  // namespace expunge::cuda
