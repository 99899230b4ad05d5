// The CUDA device as the library sees it: memory, transfers and its description. Declarations only; include/expunge/cuda/ is
// compiled in the user's build (target expunge::cuda).
#pragma once

#include <cstddef>
#include <string>

namespace expunge::cuda {

/// All work goes in order through one stream of the device that is in use. Every function throws expunge::error with a remedy:
/// no device or driver, kernels built for another architecture, memory exhausted (bytes asked and free).
struct device_description {
  std::string name;
  int number = 0;
  int major = 0, minor = 0;  // compute capability
  std::size_t free_bytes = 0, total_bytes = 0;
};

/// Devices that the driver shows; 0 without a driver. Never throws.
[[nodiscard]] int device_count();

/// Chooses the device; call before the first tensor is made and before any other function here but device_count(), which would choose the
/// first one. Work makes that device the calling thread's current one.
void select_device(int number);

/// The device in use.
[[nodiscard]] device_description describe_device();

/// Products of floats in TF32 (10 bits of mantissa) on tensor cores; off at first.
void allow_tf32(bool allow);

/// Whether work that repeats is submitted as CUDA graphs: a step whose batch has the sizes of an earlier one's is then some launches of up to
/// 128 operations each. What a step computes, and in which order, stays as it is. Off at first, after keep_freed(false), and from when the
/// device has no room for a graph or beside them. Call neither while another thread works.
void use_graphs(bool use);
/// Since use_graphs(true): kernels and products that were submitted one by one and in graphs, and what ended the use of graphs, if anything did.
struct graph_use {
  std::size_t alone = 0, in_graphs = 0;
  std::string given_up{};
};
[[nodiscard]] graph_use describe_graphs();

/// Waits for all work; a kernel's failure is reported here at the latest.
void synchronise();

/// Gives memory that nobody uses back to the driver, but for parts of a piece whose rest is in use.
void release_unused();
/// Whether freed memory is kept to be lent again (on at first). Without it every piece comes from the driver, for tools that watch that.
void keep_freed(bool keep);
[[nodiscard]] bool freed_is_kept();

/// The most bytes that tensors and scratch memory in use took at once since forget_peak().
[[nodiscard]] std::size_t peak_bytes();
void forget_peak();

// Memory in stream order: what is released may be reused by work that is submitted later.
[[nodiscard]] void* allocate(std::size_t bytes);
void release(void* memory) noexcept;
bool shrink(void* memory, std::size_t bytes);  // releases what lies behind its first bytes; false where freed memory is not kept
void copy_to_device(void* to, const void* from, std::size_t bytes);  // `from` may change afterwards
void copy_to_host(void* to, const void* from, std::size_t bytes);  // waits

}  // namespace expunge::cuda
