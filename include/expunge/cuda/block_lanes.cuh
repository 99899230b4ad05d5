// The threads of a block that share a row or tile. Reductions have one fixed order.
#pragma once

#include "expunge/tensor/cuda/lanes.hpp"

namespace expunge::cuda {

/// For blocks of one dimension and a multiple of 32 threads; on the device only.
struct block_lanes {
#ifdef __CUDA_ARCH__
  EXPUNGE_DEVICE int index() const { return static_cast<int>(threadIdx.x); }
  EXPUNGE_DEVICE int count() const { return static_cast<int>(blockDim.x); }
  EXPUNGE_DEVICE void sync() const { __syncthreads(); }
  template <class T>
  EXPUNGE_DEVICE T sum(T x) const {
    return reduce(x, [](T a, T b) { return a + b; });
  }
  template <class T>
  EXPUNGE_DEVICE T max(T x) const {
    return reduce(x, [](T a, T b) { return a > b ? a : b; });
  }

 private:
  template <class T, class F>
  EXPUNGE_DEVICE T reduce(T x, const F& f) const {
    __shared__ T slots[32];
    for (int step = 16; step > 0; step /= 2) x = f(x, __shfl_xor_sync(0xffffffffU, x, step));
    if (threadIdx.x % 32 == 0) slots[threadIdx.x / 32] = x;
    __syncthreads();
    T total = slots[0];
    for (unsigned warp = 1; warp < blockDim.x / 32; ++warp) total = f(total, slots[warp]);
    __syncthreads();
    return total;
  }
#else
  // The host's compiler pass sees the kernels too, but calls none of these.
  EXPUNGE_DEVICE int index() const { return 0; }
  EXPUNGE_DEVICE int count() const { return 1; }
  EXPUNGE_DEVICE void sync() const {}
  template <class T>
  EXPUNGE_DEVICE T sum(T x) const { return x; }
  template <class T>
  EXPUNGE_DEVICE T max(T x) const { return x; }
#endif
};

}  // namespace expunge::cuda
