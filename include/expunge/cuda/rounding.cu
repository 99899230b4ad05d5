// Operands of products rounded to bfloat16.
#include "expunge/cuda/rounding.cuh"

#include "expunge/cuda/map.cuh"

namespace expunge::cuda {

void round(const float* from, index_t size, bfloat16* to) { map(size, functor::assign{functor::copy{}}, to, from); }

namespace detail {

scratch<__nv_bfloat16> rounded(const float* from, index_t size) {
  if (from == nullptr) return {};
  scratch<__nv_bfloat16> memory(size);
  round(from, size, reinterpret_cast<bfloat16*>(memory.data()));
  return memory;
}

}  // namespace detail

}  // namespace expunge::cuda
