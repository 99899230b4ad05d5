// Memory of the device in use, in stream order: what is freed is kept by size and lent again, in front of the driver's pool.
#include <cuda_runtime.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <sstream>
#include <unordered_map>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/cuda/launch.cuh"

namespace expunge::cuda {

namespace {

/// Asking the driver takes the device about as long as a small kernel, each time. All work is on one stream, so that whoever is lent
/// a piece again writes it after all that was submitted before.
class kept_pieces {
 public:
  void* allocate(std::size_t bytes) {
    const std::lock_guard lock(guard_);
    const std::size_t unit = keep_ ? 512 : 1, wanted = std::max<std::size_t>(bytes, 16);  // a tensor without elements is not absent
    const std::size_t size = (wanted + unit - 1) / unit * unit;
    void* memory = again(size);
    if (memory == nullptr) memory = from_driver(size, bytes);
    most_ = std::max(most_, in_use_);
    peak_ = std::max(peak_, in_use_);
    return memory;
  }

  void release(void* memory) noexcept {
    const std::lock_guard lock(guard_);
    const auto piece = sizes_.find(memory);
    in_use_ -= piece->second;
    idle_ += piece->second;
    try {
      freed_[piece->second].push_back(memory);
    } catch (...) {
      idle_ -= piece->second;
      give_back(memory);
    }
    if (!keep_) give_back_all();
  }

  void keep(bool on) {
    const std::lock_guard lock(guard_);
    keep_ = on;
    if (!on) give_back_all();
  }
  void forget_idle() {
    const std::lock_guard lock(guard_);
    give_back_all();
  }
  std::size_t peak() const {
    const std::lock_guard lock(guard_);
    return peak_;
  }
  void forget_peak() {
    const std::lock_guard lock(guard_);
    peak_ = in_use_;
  }
  std::size_t idle() const {
    const std::lock_guard lock(guard_);
    return idle_;
  }

 private:
  /// A piece of this size or up to an eighth more, as batches of facts differ a little in length; null where there is none.
  void* again(std::size_t size) {
    const auto at = freed_.lower_bound(size);
    if (at == freed_.end() || at->first > size + size / 8) return nullptr;
    void* const memory = at->second.back();
    at->second.pop_back();
    idle_ -= at->first;
    in_use_ += at->first;
    if (at->second.empty()) freed_.erase(at);
    return memory;
  }

  void* from_driver(std::size_t size, std::size_t bytes) {
    void* memory = nullptr;
    const auto ask = [&] {
      const cudaError_t status = cudaMallocAsync(&memory, size, detail::stream());
      if (status != cudaErrorMemoryAllocation) detail::check(status, "allocating memory");
      else static_cast<void>(cudaGetLastError());
      return status == cudaSuccess;
    };
    const std::size_t most = std::max(most_, in_use_ + size);
    if (in_use_ + size + idle_ > most + most / 4) give_back_all();  // what is kept are sizes of former days
    bool found = ask();
    if (!found) {
      give_back_all();
      found = ask();
    }
    if (!found) {  // again, with whatever the pool holds in unfitting pieces
      detail::trim_pool();
      found = ask();
    }
    if (!found) {
      const device_description d = detail::describe(0);
      std::ostringstream message;
      message << "CUDA: device " << d.number << " (" << d.name << ") has no room for " << bytes << " bytes: " << d.free_bytes << " of "
              << d.total_bytes << " bytes are free; use smaller batches, a smaller model or a device with more memory";
      throw out_of_memory(message.str());
    }
    sizes_.emplace(memory, size);
    in_use_ += size;
    return memory;
  }

  void give_back_all() noexcept {
    for (const auto& [size, pieces] : freed_)
      for (void* const memory : pieces) give_back(memory);
    freed_.clear();
    idle_ = 0;
  }
  void give_back(void* memory) noexcept {
    sizes_.erase(memory);
    static_cast<void>(cudaFreeAsync(memory, detail::stream_in_use()));  // at exit the driver may be gone
  }

  mutable std::mutex guard_;
  std::unordered_map<void*, std::size_t> sizes_;     // of all pieces that the driver lent, in bytes
  std::map<std::size_t, std::vector<void*>> freed_;  // by size
  std::size_t in_use_ = 0, idle_ = 0;
  std::size_t most_ = 0, peak_ = 0;  // in use at once: ever, and since forget_peak()
  bool keep_ = true;
};

/// Lives until the process ends: tensors may outlive every other object.
kept_pieces& memory() {
  static auto* const made = new kept_pieces;
  return *made;
}

}  // namespace

void* allocate(std::size_t bytes) { return memory().allocate(bytes); }

void release(void* piece) noexcept {
  if (piece != nullptr) memory().release(piece);
}

void keep_freed(bool keep) { memory().keep(keep); }

void release_unused() {
  memory().forget_idle();
  detail::trim_pool();
}

std::size_t peak_bytes() { return memory().peak(); }
void forget_peak() { memory().forget_peak(); }

device_description describe_device() { return detail::describe(memory().idle()); }

}  // namespace expunge::cuda
