// Operands of products rounded to bfloat16, and back.
#include "expunge/cuda/map.cuh"

namespace expunge::cuda {

void round(const float* from, index_t size, bfloat16* to) { map(size, functor::assign{functor::copy{}}, to, from); }
void widen(const bfloat16* from, index_t size, float* to) { map(size, functor::assign{functor::copy{}}, to, from); }

}  // namespace expunge::cuda
