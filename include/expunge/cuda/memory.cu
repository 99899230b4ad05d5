// Memory of the device in use, in stream order: what is freed is kept by size and lent again, in front of the driver's pool.
#include <cuda_runtime.h>

#include <algorithm>
#include <iterator>
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
    piece& p = pieces_.find(memory)->second;
    in_use_ -= p.size;
    make_idle(p);
    if (!keep_) give_back_all();
  }

  void shrink(void* memory, std::size_t bytes) {
    const std::lock_guard lock(guard_);
    piece& p = pieces_.find(memory)->second;
    const std::size_t kept = rounded(bytes);
    if (kept >= p.size) return;
    piece& rest = pieces_.try_emplace(p.memory + kept, piece{p.memory + kept, p.size - kept, &p, p.behind}).first->second;
    if (p.behind != nullptr) p.behind->before = &rest;
    p.behind = &rest;
    p.size = kept;
    in_use_ -= rest.size;
    make_idle(rest);
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
  /// Of what the driver lent at once.
  struct piece {
    std::byte* memory;
    std::size_t size;                           // bytes
    piece *before = nullptr, *behind = nullptr;  // its neighbours there
    bool idle = false;
    std::size_t place = 0;  // among the idle ones of its size
  };

  static std::size_t rounded(std::size_t bytes) { return (std::max<std::size_t>(bytes, 1) + 511) / 512 * 512; }

  /// A piece of this size or up to an eighth more, as batches of facts differ a little in length; null where there is none.
  std::byte* again(std::size_t size) {
    const auto found = idle_.lower_bound(size);
    if (found == idle_.end() || found->first > size + size / 8 || found->second.empty()) return nullptr;
    piece& p = *found->second.back();
    take_out(p);
    in_use_ += p.size;
    return p.memory;
  }

  void take_out(piece& p) noexcept {
    const auto same = idle_.find(p.size);
    std::vector<piece*>& pieces = same->second;
    pieces[p.place] = pieces.back();
    pieces[p.place]->place = p.place;
    pieces.pop_back();
    if (pieces.empty()) idle_.erase(same);
    p.idle = false;
    idle_bytes_ -= p.size;
  }

  /// Joins it with what is idle beside it.
  void make_idle(piece& released) noexcept {
    piece* p = &released;
    if (p->before != nullptr && p->before->idle) {
      p = p->before;
      take_out(*p);
      absorb_behind(*p);
    }
    if (p->behind != nullptr && p->behind->idle) {
      take_out(*p->behind);
      absorb_behind(*p);
    }
    try {
      std::vector<piece*>& same = idle_[p->size];
      p->place = same.size();
      same.push_back(p);
    } catch (...) {  // the host's memory is exhausted: nobody will be lent this piece
      return;
    }
    p->idle = true;
    idle_bytes_ += p->size;
  }
  void absorb_behind(piece& p) noexcept {
    piece* const gone = p.behind;
    p.size += gone->size;
    p.behind = gone->behind;
    if (p.behind != nullptr) p.behind->before = &p;
    pieces_.erase(gone->memory);
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
    pieces_.try_emplace(memory, piece{memory, size});
    in_use_ += size;
    return memory;
  }

  /// But parts of what is in use.
  void give_back_all() noexcept {
    for (auto same = idle_.begin(); same != idle_.end();) {
      std::vector<piece*>& pieces = same->second;
      const auto parts = std::partition(pieces.begin(), pieces.end(), [](const piece* p) { return p->before != nullptr || p->behind != nullptr; });
      for (auto each = parts; each != pieces.end(); ++each) {
        std::byte* const memory = (*each)->memory;
        idle_bytes_ -= same->first;
        pieces_.erase(memory);
        static_cast<void>(cudaFreeAsync(memory, detail::stream_in_use()));  // at exit the driver may be gone
      }
      pieces.erase(parts, pieces.end());
      for (std::size_t i = 0; i < pieces.size(); ++i) pieces[i]->place = i;
      same = pieces.empty() ? idle_.erase(same) : std::next(same);
    }
  }

  mutable std::mutex guard_;
  std::unordered_map<void*, piece> pieces_;
  std::map<std::size_t, std::vector<piece*>> idle_;  // by size
  std::size_t in_use_ = 0, idle_bytes_ = 0;
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
