// The emulated device: its memory, its stream and its errors.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <vector>

#include "emulation.hpp"

/// One beside the device's stream, null, whose work is that stream's too, but where it is captured.
struct CUstream_st {
  cudaGraph_t captured = nullptr;
};
struct CUgraph_st {
  std::vector<std::function<void()>> work{};
};
struct CUgraphExec_st {
  std::vector<std::function<void()>> work;
  int waiting = 0;  // launches whose turn has not come
};

namespace emulation {

namespace {

struct allocation {
  std::size_t bytes;
  bool freed = false;  // by a call whose turn has not come
  bool aside = false;
};

struct device {
  std::mutex guard;
  cudaError_t failure = cudaSuccess, last = cudaSuccess;
  std::map<char*, allocation> memory;
  std::size_t total = std::size_t{1} << 30;
  std::uint64_t reserved = 0, used = 0, kept = 0;
  std::map<std::size_t, std::size_t> unused;  // pieces of each size that the pool holds and nobody uses
  std::map<const char*, std::size_t> registered;              // memory of the host
  std::deque<std::function<void()>> stream;
  std::map<const void*, std::size_t> shared_limits;
  std::map<const void*, unsigned> launches;
  int graph_calls_until_failure = -1;
};

device& the() {
  static auto& d = *new device;  // tensors may outlive every other object
  return d;
}

cudaError_t report(cudaError_t error) {
  if (error != cudaSuccess) the().last = error;
  return error;
}

std::size_t piece_of(std::size_t bytes) {
  return (bytes + 511) / 512 * 512;
}

void drain() {
  device& d = the();
  while (!d.stream.empty() && d.failure == cudaSuccess) {
    const auto work = std::move(d.stream.front());
    d.stream.pop_front();
    work();
  }
}

void trim(std::size_t to) {
  device& d = the();
  for (auto piece = d.unused.begin(); piece != d.unused.end() && d.reserved > to; piece = d.unused.erase(piece))
    d.reserved -= piece->first * piece->second;
}

/// With the lock held.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work) {
  device& d = the();
  if (d.failure != cudaSuccess) return d.failure;
  if (stream != nullptr && stream->captured != nullptr) {
    stream->captured->work.push_back(std::move(work));
    return cudaSuccess;
  }
  d.stream.push_back(std::move(work));
  static const bool at_once = std::getenv("CUDA_LAUNCH_BLOCKING") != nullptr;
  if (at_once) drain();
  return d.failure;
}

/// What is no part of a graph here, for its memory would be the graph's or its bytes those of now.
bool is_captured(cudaStream_t stream) {
  if (stream == nullptr || stream->captured == nullptr) return false;
  fail(cudaErrorStreamCaptureUnsupported, "a stream that is captured was given what expunge puts into no graph");
  return true;
}

bool is_refused() { return the().graph_calls_until_failure >= 0 && the().graph_calls_until_failure-- == 0; }

constexpr std::size_t graph_bytes = 4096;  // that a graph takes of the device

/// Do these bytes lie in memory that is in use?
bool in_use(const void* begin, std::size_t bytes) {
  const char* const first = static_cast<const char*>(begin);
  const auto after = the().memory.upper_bound(const_cast<char*>(first));
  if (after == the().memory.begin()) return false;
  const auto& [start, found] = *std::prev(after);
  return !found.freed && first + bytes <= start + found.bytes;
}

/// Is this the host's, and does a copy from there read it when its turn comes?
bool is_registered(const char* memory) {
  const auto after = the().registered.upper_bound(memory);
  return after != the().registered.begin() && memory < std::prev(after)->first + std::prev(after)->second;
}

/// Bytes in use up to which the first launches of a kernel, and some later ones, run twice.
constexpr std::size_t most_compared = std::size_t{256} << 10;

std::vector<char> contents() {
  std::vector<char> all;
  for (const auto& [start, piece] : the().memory)
    if (!piece.aside) all.insert(all.end(), start, start + piece.bytes);
  return all;
}

void restore(const std::vector<char>& all) {
  auto from = all.begin();
  for (const auto& [start, piece] : the().memory) {
    if (piece.aside) continue;
    std::copy_n(from, piece.bytes, start);
    from += static_cast<std::ptrdiff_t>(piece.bytes);
  }
}

void run_kernel(const cudaLaunchConfig_t& c, const void* kernel, const std::function<void()>& thread) {
  device& d = the();
  const unsigned number = d.launches[kernel]++;
  const auto run = [&](unsigned order) { run_grid(c.gridDim, c.blockDim.x, c.dynamicSmemBytes, thread, order); };
  std::size_t bytes = 0;
  for (const auto& [start, piece] : d.memory) bytes += piece.aside ? 0 : piece.bytes;
  if (bytes > most_compared || (number >= 32 && number % 16 != 0)) return run(number * 2654435761U >> 30);
  const std::vector<char> before = contents();
  run(0);
  if (d.failure != cudaSuccess) return;
  const std::vector<char> after = contents();
  restore(before);
  run(1 + number % 3);
  if (d.failure == cudaSuccess && contents() != after)
    fail(cudaErrorLaunchFailure, "what a kernel leaves depends on the order of its threads");
}

}  // namespace

void set_memory(std::size_t bytes) {
  const std::lock_guard lock(the().guard);
  the().total = bytes;
}

void refuse_graph_call(int number) {
  const std::lock_guard lock(the().guard);
  the().graph_calls_until_failure = number;
}

void set_aside(void* memory) {
  const std::lock_guard lock(the().guard);
  the().memory.at(static_cast<char*>(memory)).aside = true;
}

cudaError_t submit(cudaStream_t stream, std::function<void()> work) {
  const std::lock_guard lock(the().guard);
  return enqueue(stream, std::move(work));
}

void fail(cudaError_t error, const char* why) {
  std::fprintf(stderr, "emulated device: %s\n", why);
  the().failure = error;
}

void recover() {
  const std::lock_guard lock(the().guard);
  the().failure = the().last = cudaSuccess;
  the().stream.clear();
}

cudaError_t submit_kernel(const cudaLaunchConfig_t& config, const void* kernel, std::function<void()> thread) {
  const std::lock_guard lock(the().guard);
  const dim3 &grid = config.gridDim, &block = config.blockDim;
  if (grid.x == 0 || grid.y == 0 || grid.z != 1 || grid.x > 0x7FFFFFFF || grid.y > 65535 || block.x == 0 ||
      block.x > 1024 || block.y != 1 || block.z != 1)
    return report(cudaErrorInvalidConfiguration);
  const auto limit = the().shared_limits.find(kernel);
  if (config.dynamicSmemBytes > (limit == the().shared_limits.end() ? shared_bytes_unasked : limit->second))
    return report(cudaErrorInvalidValue);
  return report(enqueue(config.stream, [config, kernel, thread = std::move(thread)] { run_kernel(config, kernel, thread); }));
}

}  // namespace emulation

using namespace emulation;

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorIllegalAddress:
      return "an illegal memory access was encountered";
    case cudaErrorLaunchFailure:
      return "unspecified launch failure";
    default:
      return "an error that the emulated device never has";
  }
}

cudaError_t cudaGetLastError() {
  const std::lock_guard lock(the().guard);
  return the().failure != cudaSuccess ? the().failure : std::exchange(the().last, cudaSuccess);
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  return report(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return report(cudaErrorInvalidDevice);
  *properties = {"emulated on the host", 9, 0, shared_bytes, 0};
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new CUstream_st;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  const std::lock_guard lock(the().guard);
  if (stream == nullptr || stream->captured != nullptr || is_refused()) return report(cudaErrorInvalidValue);
  stream->captured = new CUgraph_st;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const std::lock_guard lock(the().guard);
  if (stream->captured == nullptr) return report(cudaErrorInvalidValue);
  *graph = std::exchange(stream->captured, nullptr);
  if (is_refused()) {
    delete std::exchange(*graph, nullptr);
    return report(cudaErrorInvalidValue);
  }
  return report(the().failure);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
  const std::lock_guard lock(the().guard);
  device& d = the();
  if (is_refused()) return report(cudaErrorInvalidValue);
  if (d.reserved + graph_bytes > d.total) return report(cudaErrorMemoryAllocation);
  d.reserved += graph_bytes;
  *made = new CUgraphExec_st{graph->work};
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  const std::lock_guard lock(the().guard);
  if (graph->waiting > 0) fail(cudaErrorInvalidValue, "a graph was destroyed before its work was done");
  the().reserved -= graph_bytes;
  delete graph;
  return report(the().failure);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  const std::lock_guard lock(the().guard);
  if (is_captured(stream)) return report(the().failure);
  if (is_refused()) return report(cudaErrorInvalidValue);
  ++graph->waiting;
  return report(enqueue(stream, [graph] {
    --graph->waiting;
    for (const auto& work : graph->work)
      if (the().failure == cudaSuccess) work();
  }));
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const std::lock_guard lock(the().guard);
  if (is_captured(stream)) return report(the().failure);
  drain();
  trim(the().kept);
  return report(the().failure);
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  *pool = nullptr;  // there is one
  return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr attribute, void* value) {
  const std::lock_guard lock(the().guard);
  if (attribute != cudaMemPoolAttrReleaseThreshold) return report(cudaErrorInvalidValue);
  the().kept = *static_cast<const std::uint64_t*>(value);
  return cudaSuccess;
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t, cudaMemPoolAttr attribute, void* value) {
  const std::lock_guard lock(the().guard);
  const device& d = the();
  *static_cast<std::uint64_t*>(value) = attribute == cudaMemPoolAttrReservedMemCurrent ? d.reserved
                                        : attribute == cudaMemPoolAttrUsedMemCurrent   ? d.used
                                                                                       : d.kept;
  return cudaSuccess;
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, std::size_t bytes) {
  const std::lock_guard lock(the().guard);
  if (the().stream.empty()) trim(bytes);  // else its pieces are still at work
  return report(the().failure);
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const std::lock_guard lock(the().guard);
  *total = the().total;
  *free = the().total - std::min<std::size_t>(the().total, the().reserved);
  return report(the().failure);
}

cudaError_t cudaMallocAsync(void** memory, std::size_t bytes, cudaStream_t stream) {
  const std::lock_guard lock(the().guard);
  if (is_captured(stream)) return report(the().failure);
  device& d = the();
  const std::size_t piece = piece_of(bytes);
  if (auto& pieces = d.unused[piece]; pieces > 0)
    --pieces;
  else if (piece > d.total || d.reserved > d.total - piece)
    return report(cudaErrorMemoryAllocation);
  else
    d.reserved += piece;
  d.used += piece;
  *memory = nullptr;
  if (posix_memalign(memory, 256, bytes) != 0) return report(cudaErrorMemoryAllocation);
  std::memset(*memory, 0xFF, bytes);
  d.memory.emplace(static_cast<char*>(*memory), allocation{bytes});
  return report(d.failure);
}

cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
  const std::lock_guard lock(the().guard);
  if (is_captured(stream)) return report(the().failure);
  device& d = the();
  const auto found = d.memory.find(static_cast<char*>(memory));
  if (found == d.memory.end() || found->second.freed) {
    fail(cudaErrorInvalidValue, "memory was freed that is not in use");
    return d.failure;
  }
  found->second.freed = true;
  d.used -= piece_of(found->second.bytes);
  ++d.unused[piece_of(found->second.bytes)];
  return report(enqueue(stream, [found] {
    std::memset(found->first, 0xFF, found->second.bytes);  // for work that comes too late
    std::free(found->first);
    the().memory.erase(found);
  }));
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const std::lock_guard lock(the().guard);
  if (is_captured(stream)) return report(the().failure);
  const bool up = kind == cudaMemcpyHostToDevice;
  if (!in_use(up ? to : from, bytes)) return report(cudaErrorInvalidValue);
  if (!up) {
    std::memset(to, 0xFF, bytes);  // nobody may count on what is there before the copy
    return report(enqueue(stream, [=] { std::memcpy(to, from, bytes); }));
  }
  const auto* const first = static_cast<const char*>(from);
  if (is_registered(first)) return report(enqueue(stream, [=] { std::memcpy(to, from, bytes); }));
  return report(enqueue(stream, [to, staged = std::vector<char>(first, first + bytes)] {
    std::copy(staged.begin(), staged.end(), static_cast<char*>(to));
  }));
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  const std::lock_guard lock(the().guard);
  if (is_captured(stream)) return report(the().failure);
  if (!in_use(to, bytes)) return report(cudaErrorInvalidValue);
  return report(enqueue(stream, [=] { std::memset(to, value, bytes); }));
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* memory) {
  const std::lock_guard lock(the().guard);
  attributes->type = in_use(memory, 1)                                  ? cudaMemoryTypeDevice
                     : is_registered(static_cast<const char*>(memory)) ? cudaMemoryTypeHost
                                                                       : cudaMemoryTypeUnregistered;
  return report(the().failure);
}

cudaError_t cudaHostRegister(void* memory, std::size_t bytes, unsigned) {
  const std::lock_guard lock(the().guard);
  the().registered.emplace(static_cast<const char*>(memory), bytes);
  return report(the().failure);
}

cudaError_t cudaHostUnregister(void* memory) {
  const std::lock_guard lock(the().guard);
  the().registered.erase(static_cast<const char*>(memory));
  return report(the().failure);
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  const std::lock_guard lock(the().guard);
  if (value < 0 || static_cast<std::size_t>(value) > shared_bytes) return report(cudaErrorInvalidValue);
  if (static_cast<std::size_t>(value) < the().shared_limits[kernel]) return report(cudaErrorInvalidValue);  // another thread's launch may need it
  the().shared_limits[kernel] = static_cast<std::size_t>(value);
  return cudaSuccess;
}
