// Memory of the device in use, in stream order: what is freed is kept by size and lent again, in front of the driver's pool.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <tuple>

#include "expunge/core/error.hpp"
#include "expunge/cuda/launch.cuh"

namespace expunge::cuda {

namespace {

/// Asking the driver takes the device about as long as a small kernel, each time. All work is on one stream, so that whoever is lent
/// a piece again writes it after all that was submitted before. What a piece is shrunk by is a piece beside it, until both are idle.
class kept_pieces {
 public:
  void* allocate(std::size_t bytes) {
    const std::lock_guard lock(guard_);
    const std::size_t size = keep_ ? rounded(bytes) : std::max<std::size_t>(bytes, 16);  // a tensor without elements is not absent
    std::byte* memory = keep_ ? again(size) : nullptr;
    if (memory == nullptr) memory = from_driver(size, bytes);
    most_ = std::max(most_, in_use_);
    peak_ = std::max(peak_, in_use_);
    return memory;
  }

  void release(void* memory) noexcept {
    const std::lock_guard lock(guard_);
    const auto at = pieces_.find(static_cast<std::byte*>(memory));
    in_use_ -= at->second.size;
    make_idle(at);
    if (!keep_) give_back_all();
  }

  void shrink(void* memory, std::size_t bytes) {
    const std::lock_guard lock(guard_);
    const auto at = pieces_.find(static_cast<std::byte*>(memory));
    const std::size_t kept = rounded(bytes);
    if (kept >= at->second.size) return;
    const std::size_t rest = at->second.size - kept;
    const auto behind = pieces_.emplace(at->first + kept, piece{rest, at->second.whole}).first;
    at->second.size = kept;
    in_use_ -= rest;
    make_idle(behind);
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
    return idle_bytes_;
  }

 private:
  struct piece {
    std::size_t size;           // bytes
    std::byte* whole;           // where what the driver lent begins
    std::int64_t released = 0;  // when, for idle pieces: 1 is the first
  };
  using all_pieces = std::map<std::byte*, piece>;
  using place = std::tuple<std::size_t, std::int64_t, std::byte*>;

  static std::size_t rounded(std::size_t bytes) { return (std::max<std::size_t>(bytes, 1) + 511) / 512 * 512; }

  /// A piece of this size or up to an eighth more, as batches of facts differ a little in length, released as late as may be; null where
  /// there is none.
  std::byte* again(std::size_t size) {
    const auto found = idle_.lower_bound({size, std::numeric_limits<std::int64_t>::min(), nullptr});
    if (found == idle_.end() || std::get<0>(*found) > size + size / 8) return nullptr;
    std::byte* const memory = std::get<2>(*found);
    const auto at = pieces_.find(memory);
    take_out(at);
    in_use_ += at->second.size;
    return memory;
  }

  static place place_of(const all_pieces::iterator& at) { return {at->second.size, -at->second.released, at->first}; }

  void take_out(all_pieces::iterator at) noexcept {
    idle_.erase(place_of(at));
    idle_bytes_ -= at->second.size;
    at->second.released = 0;
  }

  /// Joins it with what is idle beside it.
  void make_idle(all_pieces::iterator at) noexcept {
    const auto join = [&](all_pieces::iterator first, all_pieces::iterator second) {
      first->second.size += second->second.size;
      pieces_.erase(second);
      return first;
    };
    const auto idle_beside = [&](all_pieces::iterator other) { return other->second.whole == at->second.whole && other->second.released != 0; };
    if (const auto next = std::next(at); next != pieces_.end() && idle_beside(next)) {
      take_out(next);
      join(at, next);
    }
    if (at != pieces_.begin())
      if (const auto before = std::prev(at); idle_beside(before)) {
        take_out(before);
        at = join(before, at);
      }
    try {
      at->second.released = ++releases_;
      idle_.insert(place_of(at));
      idle_bytes_ += at->second.size;
    } catch (...) {  // the host's memory is exhausted: nobody will be lent this piece
      at->second.released = 0;
    }
  }

  std::byte* from_driver(std::size_t size, std::size_t bytes) {
    void* lent = nullptr;
    const auto ask = [&] {
      const cudaError_t status = cudaMallocAsync(&lent, size, detail::stream());
      if (status != cudaErrorMemoryAllocation) detail::check(status, "allocating memory");
      else static_cast<void>(cudaGetLastError());
      return status == cudaSuccess;
    };
    const std::size_t most = std::max(most_, in_use_ + size);
    if (in_use_ + size + idle_bytes_ > most + most / 4) give_back_all();  // what is kept are sizes of former days
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
    auto* const memory = static_cast<std::byte*>(lent);
    pieces_.emplace(memory, piece{size, memory});
    in_use_ += size;
    return memory;
  }

  /// But what is a part of something in use.
  void give_back_all() noexcept {
    for (auto each = idle_.begin(); each != idle_.end();) {
      const auto at = pieces_.find(std::get<2>(*each++));
      const auto next = std::next(at);
      if (at->first != at->second.whole || (next != pieces_.end() && next->second.whole == at->first)) continue;
      take_out(at);
      static_cast<void>(cudaFreeAsync(at->first, detail::stream_in_use()));  // at exit the driver may be gone
      pieces_.erase(at);
    }
  }

  mutable std::mutex guard_;
  all_pieces pieces_;
  std::set<place> idle_;
  std::size_t in_use_ = 0, idle_bytes_ = 0;
  std::size_t most_ = 0, peak_ = 0;  // in use at once: ever, and since forget_peak()
  std::int64_t releases_ = 0;
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

void shrink(void* piece, std::size_t bytes) { memory().shrink(piece, bytes); }

void keep_freed(bool keep) { memory().keep(keep); }

void release_unused() {
  memory().forget_idle();
  detail::trim_pool();
}

std::size_t peak_bytes() { return memory().peak(); }
void forget_peak() { memory().forget_peak(); }

device_description describe_device() { return detail::describe(memory().idle()); }

}  // namespace expunge::cuda
