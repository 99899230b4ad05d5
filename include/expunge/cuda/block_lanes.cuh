// The threads of a block that share a row or tile. Reductions have one fixed order.
#pragma once

#include <cuda_pipeline_primitives.h>

#include "expunge/tensor/cuda/lanes.hpp"

namespace expunge::cuda {

/// For blocks of one dimension and a multiple of 32 threads. On the device only: the host's compiler pass sees the kernels too and
/// gets one thread, but never runs it.
struct block_lanes {
  static constexpr int team = 8;  // divides a warp

  EXPUNGE_DEVICE int index() const {
#ifdef __CUDA_ARCH__
    return static_cast<int>(threadIdx.x);
#else
    return 0;
#endif
  }
  EXPUNGE_DEVICE int count() const {
#ifdef __CUDA_ARCH__
    return static_cast<int>(blockDim.x);
#else
    return 1;
#endif
  }
  EXPUNGE_DEVICE void sync() const {
#ifdef __CUDA_ARCH__
    __syncthreads();
#endif
  }
  template <class T>
  EXPUNGE_DEVICE T sum(T x) const {
    return reduce(x, [](T a, T b) { return a + b; });
  }
  template <class T>
  EXPUNGE_DEVICE T max(T x) const {
    return reduce(x, [](T a, T b) { return a > b ? a : b; });
  }
  /// Every lane of a warp that calls it must.
  template <class T, class F>
  EXPUNGE_DEVICE T team_reduce(T x, [[maybe_unused]] const F& f) const {
#ifdef __CUDA_ARCH__
    for (int step = team / 2; step > 0; step /= 2) x = f(x, __shfl_xor_sync(0xffffffffU, x, step));
    __syncwarp();  // orders memory too: what a team read before may be written now
#endif
    return x;
  }
  template <class T>
  EXPUNGE_DEVICE void copy([[maybe_unused]] T* to, [[maybe_unused]] const T* from, [[maybe_unused]] bool there) const {
#ifdef __CUDA_ARCH__
    __pipeline_memcpy_async(to, from, sizeof(T), there ? 0 : sizeof(T));
#endif
  }
  EXPUNGE_DEVICE void arrive() const {
#ifdef __CUDA_ARCH__
    __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncthreads();
#endif
  }

 private:
  template <class T, class F>
  EXPUNGE_DEVICE T reduce(T x, [[maybe_unused]] const F& f) const {
#ifdef __CUDA_ARCH__
    __shared__ T slots[32];
    for (int step = 16; step > 0; step /= 2) x = f(x, __shfl_xor_sync(0xffffffffU, x, step));
    if (threadIdx.x % 32 == 0) slots[threadIdx.x / 32] = x;
    __syncthreads();
    x = slots[0];
    for (unsigned warp = 1; warp < blockDim.x / 32; ++warp) x = f(x, slots[warp]);
    __syncthreads();
#endif
    return x;
  }
};

/// Those of a block of Threads, which the compiler then knows.
template <unsigned Threads>
struct lanes_of : block_lanes {
  EXPUNGE_DEVICE int index() const { return static_cast<int>(static_cast<unsigned>(block_lanes::index()) % Threads); }
  EXPUNGE_DEVICE constexpr int count() const { return static_cast<int>(Threads); }
};

}  // namespace expunge::cuda
