// A CUDA device that is emulated on the host: kernels, compiled by the C++ compiler, in fibers. Where CUDA leaves
// something open it does what shows mistakes:
// - submitted work runs when the host waits for it, not before (at once with CUDA_LAUNCH_BLOCKING=1, CUDA's own switch);
// - memory is full of NaNs, device's and shared, and addresses are those of malloc, so that AddressSanitizer sees
//   accesses out of range;
// - asynchronous copies into shared memory come when their thread waits for them, and are NaNs until then;
// - freed memory is only used again for the same size, so that the pool has to be trimmed;
// - blocks, warps and lanes take their turns in other orders from launch to launch. While little memory is in use many
//   launches run twice, in two orders, and have to leave the same bits: a missing barrier shows, and so do two threads
//   that write to one place.
// A barrier that not all threads of a block reach, a shuffle without a lane of its mask, writes behind a launch's shared
// memory, a second free and launches over the limits of a device fail, with a line on the standard error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "cuda_runtime.h"

namespace emulation {

inline constexpr std::size_t shared_bytes = 227 << 10, shared_bytes_unasked = 48 << 10;  // of a block, at most

/// The bytes of memory that the device has; what is allocated stays.
void set_memory(std::size_t bytes);

/// The call that makes or launches a graph which comes behind so many others fails; less than none: no call.
void refuse_graph_call(int number);

/// Adds work to the device's stream, or to the graph that this stream is captured for. What it returns is the device's error, if it has
/// failed.
cudaError_t submit(cudaStream_t stream, std::function<void()> work);

/// What lies here is between products, and no kernel reads or writes it.
void set_aside(void* memory);

/// The device has failed: every later call returns `error`.
void fail(cudaError_t error, const char* why);

/// Forgets the failure, and the work that waits.
void recover();

/// Runs the threads of every block, in an order that `order` chooses: 0 ascending, 1 descending, and others shuffled.
void run_grid(const dim3& grid, unsigned threads, std::size_t shared, const std::function<void()>& thread,
              unsigned order);

}  // namespace emulation
