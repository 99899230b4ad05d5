// The device in use: its stream and pool, transfers, errors and the cuBLASLt handle.
#include <cublasLt.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <unordered_map>

#include "expunge/core/error.hpp"
#include "expunge/cuda/launch.cuh"

#ifndef EXPUNGE_CUDA_ARCHITECTURES
#define EXPUNGE_CUDA_ARCHITECTURES "unknown"
#endif

namespace expunge::cuda {

namespace {

__global__ void probe_kernel() {}

/// Lives until the process ends, once it is complete: tensors may outlive every other object.
struct context {
  int device = 0;
  cudaDeviceProp properties{};
  cudaStream_t stream = nullptr;
  cudaMemPool_t pool = nullptr;
  cublasLtHandle_t blas = nullptr;
  void* matmul_workspace = nullptr;
  unsigned* ended_blocks = nullptr;
  bool tf32 = false;
  std::unordered_map<const void*, bool> begins_early{};  // by kernel

  context() = default;
  context(const context&) = delete;
  context& operator=(const context&) = delete;
  ~context() {
    if (ended_blocks != nullptr) static_cast<void>(cudaFreeAsync(ended_blocks, stream));
    if (matmul_workspace != nullptr) static_cast<void>(cudaFreeAsync(matmul_workspace, stream));
    if (blas != nullptr) static_cast<void>(cublasLtDestroy(blas));
    if (stream != nullptr) static_cast<void>(cudaStreamDestroy(stream));
  }
};

std::mutex creation;
int chosen_device = 0;
context* current = nullptr;

context* make_context(int device) {
  int count = 0;
  const cudaError_t found = cudaGetDeviceCount(&count);
  if (found != cudaSuccess || count == 0) {
    static_cast<void>(cudaGetLastError());
    const std::string remedy = found == cudaErrorInsufficientDriver
                                   ? "install a driver for CUDA " + std::to_string(CUDART_VERSION / 1000) + " or newer"
                                   : "check nvidia-smi and CUDA_VISIBLE_DEVICES";
    fail("CUDA: no device found (", found != cudaSuccess ? cudaGetErrorString(found) : "the driver shows none", "); ", remedy, ", or use the CPU");
  }
  require(device < count, "CUDA: there is no device ", device, "; the driver shows 0 to ", count - 1);
  auto made = std::make_unique<context>();
  made->device = device;
  detail::check(cudaSetDevice(device), "selecting the device");
  detail::check(cudaGetDeviceProperties(&made->properties, device), "reading the device's properties");
  cudaFuncAttributes attributes{};
  detail::check(cudaFuncGetAttributes(&attributes, probe_kernel), "looking for kernels");
  detail::check(cudaStreamCreateWithFlags(&made->stream, cudaStreamNonBlocking), "making a stream");
  detail::check(cudaDeviceGetDefaultMemPool(&made->pool, device), "finding the memory pool");
  std::uint64_t keep = UINT64_MAX;  // a repeated step allocates nothing from the driver
  detail::check(cudaMemPoolSetAttribute(made->pool, cudaMemPoolAttrReleaseThreshold, &keep), "setting up the memory pool");
  detail::check_blas(cublasLtCreate(&made->blas), "starting cuBLASLt");
  detail::check(cudaMallocAsync(&made->matmul_workspace, detail::matmul_workspace_bytes, made->stream), "allocating the workspace of products");
  detail::check(cudaMallocAsync(reinterpret_cast<void**>(&made->ended_blocks), sizeof(unsigned), made->stream), "allocating a counter");
  detail::check(cudaMemsetAsync(made->ended_blocks, 0, sizeof(unsigned), made->stream), "clearing a counter");
  return made.release();
}

context& instance() {
  const std::lock_guard lock(creation);
  if (current == nullptr) current = make_context(chosen_device);
  detail::check(cudaSetDevice(current->device), "selecting the device");  // others may have chosen another one for this thread
  return *current;
}

[[noreturn]] void throw_out_of_memory(const char* what) {
  std::size_t free = 0, total = 0;
  static_cast<void>(cudaMemGetInfo(&free, &total));
  std::ostringstream message;
  message << "CUDA: " << what << " failed: the device's memory is exhausted, " << free << " of " << total
          << " bytes are free; use smaller batches or a device with more memory";
  throw out_of_memory(message.str());
}

}  // namespace

namespace detail {

cudaStream_t stream() { return instance().stream; }

cudaStream_t stream_in_use() noexcept { return current->stream; }

cublasLtContext* blas() { return instance().blas; }

void* matmul_workspace() { return instance().matmul_workspace; }

bool tf32_allowed() { return instance().tf32; }

unsigned* ended_blocks() { return instance().ended_blocks; }

bool may_begin_early(const void* kernel) {
  if (current->properties.major < 9) return false;
  const std::lock_guard lock(creation);
  const auto [known, is_new] = current->begins_early.try_emplace(kernel, false);
  if (is_new) {
    cudaFuncAttributes attributes{};
    check(cudaFuncGetAttributes(&attributes, kernel), "reading a kernel's attributes");
    known->second = attributes.ptxVersion >= 90;  // wait_for_earlier_work() waits where it was compiled for 9.0 and newer
  }
  return known->second;
}

std::size_t shared_memory_per_block() { return instance().properties.sharedMemPerBlockOptin; }

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());
  if (status == cudaErrorMemoryAllocation) throw_out_of_memory(what);
  const char* remedy = "";
  switch (status) {
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorUnsupportedPtxVersion:
      remedy = "; the kernels were built for " EXPUNGE_CUDA_ARCHITECTURES
               ": configure with -DCMAKE_CUDA_ARCHITECTURES= and this device's compute capability";
      break;
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
      remedy = "; an earlier kernel failed (a label or row out of range?): run under compute-sanitizer to see which";
      break;
    default: break;
  }
  fail("CUDA: ", what, " failed: ", cudaGetErrorString(status), remedy);
}

void check_blas(int status, const char* what) {
  if (status == CUBLAS_STATUS_ALLOC_FAILED) throw_out_of_memory(what);
  require(status == CUBLAS_STATUS_SUCCESS, "CUDA: ", what, " failed: ", cublasLtGetStatusString(static_cast<cublasStatus_t>(status)));
}

device_description describe(std::size_t idle) {
  const context& c = instance();
  device_description d{c.properties.name, c.device, c.properties.major, c.properties.minor, 0, 0};
  check(cudaMemGetInfo(&d.free_bytes, &d.total_bytes), "reading the free memory");
  std::uint64_t reserved = 0, used = 0;  // what our pool holds but nobody uses is free too
  check(cudaMemPoolGetAttribute(c.pool, cudaMemPoolAttrReservedMemCurrent, &reserved), "reading the memory pool");
  check(cudaMemPoolGetAttribute(c.pool, cudaMemPoolAttrUsedMemCurrent, &used), "reading the memory pool");
  d.free_bytes += reserved - used + idle;
  return d;
}

void trim_pool() {
  const context& c = instance();
  synchronise();
  check(cudaMemPoolTrimTo(c.pool, 0), "giving back memory");
}

}  // namespace detail

int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  static_cast<void>(cudaGetLastError());
  return 0;
}

void select_device(int number) {
  const std::lock_guard lock(creation);
  require(number >= 0, "CUDA: device ", number, ", expected 0 or more");
  require(current == nullptr || current->device == number, "CUDA: device ", number, " was chosen after work began on another; choose it first");
  if (current == nullptr) current = make_context(number);
  chosen_device = number;
}

void allow_tf32(bool allow) { instance().tf32 = allow; }

void synchronise() {
  detail::submit_recorded();
  detail::check(cudaStreamSynchronize(detail::stream()), "waiting for the device");
  detail::order_idle_memory();
}

void copy_to_device(void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  detail::submit_recorded();
  detail::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, detail::stream()), "copying to the device");
  cudaPointerAttributes host{};
  detail::check(cudaPointerGetAttributes(&host, from), "looking at memory of the host");
  const bool is_staged = host.type == cudaMemoryTypeUnregistered && instance().properties.pageableMemoryAccessUsesHostPageTables == 0;
  if (!is_staged) synchronise();  // the device reads the caller's memory itself
}

void copy_to_host(void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  detail::submit_recorded();
  detail::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, detail::stream()), "copying to the host");
  synchronise();
}

}  // namespace expunge::cuda
