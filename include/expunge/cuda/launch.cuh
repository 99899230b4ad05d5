// How the sources of this folder reach the device: its stream, error checks, scratch memory and launches.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <utility>

#include "expunge/core/device.hpp"
#include "expunge/core/shape.hpp"
#include "expunge/cuda/submission.cuh"
#include "expunge/tensor/cuda/element_pack.hpp"
#include "expunge/tensor/cuda/runtime.hpp"

struct cublasLtContext;

namespace expunge::cuda::detail {

/// The stream of the device in use, where work was submitted before.
cudaStream_t stream_in_use() noexcept;

/// Of the device in use.
std::size_t shared_memory_per_block();
cublasLtContext* blas();  // a cublasLtHandle_t
void* matmul_workspace();
bool tf32_allowed();
unsigned* ended_blocks();  // on the device, 0 between kernels: for a kernel to count those of its blocks that have ended
/// Whether a kernel may be launched on stream() so that its blocks come early: where the device can do that and the kernel, as it was
/// compiled, waits.
bool may_begin_early(const void* kernel);

/// Of the workspace that all products share: our own, so that a product's bits depend on nothing else.
inline constexpr std::size_t matmul_workspace_bytes = std::size_t{32} << 20;

/// The device in use, with so many bytes more counted as free.
device_description describe(std::size_t idle);
/// Where graphs are used: from the next allocation on memory is lent in an order that depends on what is idle then and on nothing else, so
/// that a step which repeats finds the addresses that it had.
void order_idle_memory();
/// Gives the driver back what its pool does not use, after all that was submitted.
void trim_pool();

/// Throws expunge::error that says what failed, why, and what to do.
void check(cudaError_t status, const char* what);
void check_blas(int status, const char* what);  // a cublasStatus_t

/// Elements of device memory until the end of the scope; what was submitted before may still use them.
template <class T>
class scratch {
 public:
  explicit scratch(index_t size) : memory_(static_cast<T*>(allocate(static_cast<std::size_t>(size) * sizeof(T)))) {}
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  ~scratch() { release(memory_); }
  T* data() const { return memory_; }

 private:
  T* memory_;
};

/// The first thing that a kernel does: launch() lets its blocks come while the last ones of the kernel before are still at work.
inline __device__ void wait_for_earlier_work() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize();
#endif
}

inline unsigned blocks_for(index_t size, index_t each) { return static_cast<unsigned>((size + each - 1) / each); }

/// Does every array begin where a pack of its elements may?
template <class... E>
EXPUNGE_DEVICE bool packed(E*... arrays) {
  return ((reinterpret_cast<std::uintptr_t>(arrays) % pack_bytes<E> == 0) && ...);
}

template <class... P>
void launch_on(cudaStream_t stream, const char* what, void (*kernel)(P...), dim3 grid, unsigned threads, std::size_t shared_bytes, P... arguments) {
  cudaLaunchConfig_t config{};
  config.stream = stream;
  if (shared_bytes > 48 * 1024) {  // the limit is the device's and not what this launch takes: another thread's launch may come first
    const auto limit = static_cast<int>(shared_memory_per_block());
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, limit), what);
  }
  config.gridDim = grid;
  config.blockDim = threads;
  config.dynamicSmemBytes = shared_bytes;
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &early;
  config.numAttrs = may_begin_early(reinterpret_cast<const void*>(kernel)) ? 1 : 0;
  check(cudaLaunchKernelEx(&config, kernel, arguments...), what);
}

/// Submits a kernel; an empty grid is no work.
template <class... P, class... A>
void launch(const char* what, void (*kernel)(P...), dim3 grid, unsigned threads, std::size_t shared_bytes, const A&... arguments) {
  if (grid.x == 0 || grid.y == 0) return;
  submit(&launch_on<P...>, what, kernel, grid, threads, shared_bytes, arguments...);
}

}  // namespace expunge::cuda::detail

/// Emits the functions of LIST(T), pointers to templates of kernels.hpp, for float and double.
#define EXPUNGE_CUDA_KEEP(LIST) [[gnu::used]] static const auto kept = std::pair{std::tuple{LIST(float)}, std::tuple{LIST(double)}};
/// And these pointers.
#define EXPUNGE_CUDA_KEEP_ALSO(...) [[gnu::used]] static const auto kept_also = std::tuple{__VA_ARGS__};
