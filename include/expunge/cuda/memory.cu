// Memory of the device in use, in stream order: what is freed is kept by size and lent again, in front of the driver's pool.
#include <cuda_runtime.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <sstream>

#include "expunge/core/error.hpp"
#include "expunge/cuda/launch.cuh"
#include "expunge/cuda/pieces.cuh"

namespace expunge::cuda {

namespace {

/// Asking the driver takes the device about as long as a small kernel, each time. All work is on one stream, so that whoever is lent
/// a piece again writes it after all that was submitted before.
class kept_memory {
 public:
  void* allocate(std::size_t bytes) {
    const std::lock_guard lock(guard_);
    if (to_be_ordered_.exchange(false)) pieces_.order();
    const std::size_t size = keep_ ? memory_pieces::rounded(bytes) : std::max<std::size_t>(bytes, 16);  // a tensor without elements is not absent
    std::byte* memory = keep_ ? pieces_.take(size) : nullptr;
    if (memory == nullptr) memory = from_driver(size, bytes);
    most_ = std::max(most_, pieces_.in_use());
    peak_ = std::max(peak_, pieces_.in_use());
    return memory;
  }

  void release(void* memory) noexcept {
    const std::lock_guard lock(guard_);
    pieces_.release(memory);
    if (!keep_) give_back_all();
  }

  bool shrink(void* memory, std::size_t bytes) {
    const std::lock_guard lock(guard_);
    if (!keep_) return false;
    pieces_.shrink(memory, memory_pieces::rounded(bytes));
    return true;
  }

  void keep(bool on) {
    if (!on) use_graphs(false);
    const std::lock_guard lock(guard_);
    keep_ = on;
    if (!on) give_back_all();
  }
  bool keeps() const {
    const std::lock_guard lock(guard_);
    return keep_;
  }
  void forget_idle() {
    const std::lock_guard lock(guard_);
    detail::submit_recorded();
    give_back_all();
  }
  void order_next() { to_be_ordered_ = true; }
  std::size_t peak() const {
    const std::lock_guard lock(guard_);
    return peak_;
  }
  void forget_peak() {
    const std::lock_guard lock(guard_);
    peak_ = pieces_.in_use();
  }
  std::size_t idle() const {
    const std::lock_guard lock(guard_);
    return pieces_.idle();
  }

 private:
  static constexpr std::size_t always_kept = std::size_t{64} << 20;  // bytes: small models need many sizes, of which few fit another use

  std::byte* from_driver(std::size_t size, std::size_t bytes) {
    void* lent = nullptr;
    const auto ask = [&] {
      const cudaError_t status = cudaMallocAsync(&lent, size, detail::stream());
      if (status != cudaErrorMemoryAllocation) detail::check(status, "allocating memory");
      else static_cast<void>(cudaGetLastError());
      return status == cudaSuccess;
    };
    const auto give_back = [&] {
      detail::submit_recorded();
      give_back_all();
    };
    const std::size_t used = pieces_.in_use() + size, most = std::max(most_, used);
    if (used + pieces_.idle() > most + std::max(most / 4, always_kept)) give_back();  // what is kept are sizes of former days
    bool found = ask();
    if (!found) {
      give_back();
      found = ask();
    }
    if (!found) {  // again, with whatever the pool holds in unfitting pieces
      detail::trim_pool();
      found = ask();
    }
    if (!found && detail::graphs_in_use()) {
      detail::give_up_graphs("a tensor needed their memory");
      found = ask();
    }
    if (!found) {
      const device_description d = detail::describe(0);
      std::ostringstream message;
      message << "CUDA: device " << d.number << " (" << d.name << ") has no room for " << bytes << " bytes: " << d.free_bytes << " of "
              << d.total_bytes << " bytes are free; use smaller batches, a smaller model or a device with more memory";
      throw out_of_memory(message.str());
    }
    auto* const memory = static_cast<std::byte*>(lent);
    pieces_.add(memory, size);
    return memory;
  }

  void give_back_all() noexcept {
    pieces_.drop_idle([](std::byte* memory) { static_cast<void>(cudaFreeAsync(memory, detail::stream_in_use())); });  // at exit the driver may be gone
  }

  mutable std::mutex guard_;
  memory_pieces pieces_;
  std::size_t most_ = 0, peak_ = 0;  // bytes in use at once: ever, and since forget_peak()
  bool keep_ = true;
  std::atomic<bool> to_be_ordered_ = false;
};

/// Lives until the process ends: tensors may outlive every other object.
kept_memory& memory() {
  static auto* const made = new kept_memory;
  return *made;
}

}  // namespace

void* allocate(std::size_t bytes) { return memory().allocate(bytes); }

void release(void* piece) noexcept {
  if (piece != nullptr) memory().release(piece);
}

bool shrink(void* piece, std::size_t bytes) { return memory().shrink(piece, bytes); }

void keep_freed(bool keep) { memory().keep(keep); }
bool freed_is_kept() { return memory().keeps(); }

void release_unused() {
  memory().forget_idle();
  detail::trim_pool();
}

void detail::order_idle_memory() {
  if (graphs_in_use()) memory().order_next();
}

std::size_t peak_bytes() { return memory().peak(); }
void forget_peak() { memory().forget_peak(); }

device_description describe_device() { return detail::describe(memory().idle()); }

}  // namespace expunge::cuda
