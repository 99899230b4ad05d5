// Memory of the device in use, in stream order: what is freed is kept by size and lent again, in front of the driver's pool.
#include <cuda_runtime.h>

#include <algorithm>
#include <atomic>
#include <functional>
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
    if (to_be_ordered_.exchange(false)) order();
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

  bool shrink(void* memory, std::size_t bytes) {
    const std::lock_guard lock(guard_);
    if (!keep_) return false;
    piece& p = pieces_.find(memory)->second;
    const std::size_t before = p.size;
    cut(p, rounded(bytes));
    in_use_ -= before - p.size;
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
    std::size_t size;                            // bytes
    piece *before = nullptr, *behind = nullptr;  // its neighbours there
    bool idle = false;
    std::size_t place = 0;  // among the idle ones of its size

    [[nodiscard]] bool whole() const { return before == nullptr && behind == nullptr; }
  };
  static constexpr std::size_t always_kept = std::size_t{64} << 20;  // bytes: small models need many sizes, of which few fit another use
  using by_size = std::map<std::size_t, std::vector<piece*>>;

  static std::size_t rounded(std::size_t bytes) { return (std::max<std::size_t>(bytes, 1) + 511) / 512 * 512; }

  /// A whole piece of this size or up to an eighth more, as batches of facts differ a little in length, or a part that is cut to it; null
  /// where there is none.
  std::byte* again(std::size_t size) {
    const auto smallest = [&](by_size& idle) {
      const auto found = idle.lower_bound(size);
      return found == idle.end() || found->second.empty() ? nullptr : found->second.back();
    };
    piece* p = smallest(idle_);
    if (p == nullptr || p->size > size + size / 8) p = smallest(idle_parts_);
    if (p == nullptr) return nullptr;
    take_out(*p);
    if (!p->whole()) cut(*p, size);
    in_use_ += p->size;
    return p->memory;
  }

  void order() {
    for (by_size* const idle : {&idle_, &idle_parts_})
      for (auto& [size, pieces] : *idle) {
        std::ranges::sort(pieces, std::greater{}, &piece::memory);
        for (std::size_t i = 0; i < pieces.size(); ++i) pieces[i]->place = i;
      }
  }

  /// What lies behind the first `size` bytes becomes a piece of its own.
  void cut(piece& p, std::size_t size) {
    if (size >= p.size) return;
    std::byte* const memory = p.memory + size;
    piece& rest = pieces_.try_emplace(memory, piece{memory, p.size - size, &p, p.behind}).first->second;
    if (p.behind != nullptr) p.behind->before = &rest;
    p.behind = &rest;
    p.size = size;
    make_idle(rest);
  }

  by_size& idle_like(const piece& p) { return p.whole() ? idle_ : idle_parts_; }

  void take_out(piece& p) noexcept {
    by_size& idle = idle_like(p);
    const auto same = idle.find(p.size);
    std::vector<piece*>& pieces = same->second;
    pieces[p.place] = pieces.back();
    pieces[p.place]->place = p.place;
    pieces.pop_back();
    if (pieces.empty()) idle.erase(same);
    p.idle = false;
    if (p.whole()) idle_bytes_ -= p.size;
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
      std::vector<piece*>& same = idle_like(*p)[p->size];
      p->place = same.size();
      same.push_back(p);
      p->idle = true;
      if (p->whole()) idle_bytes_ += p->size;
    } catch (...) {  // the host's memory is exhausted: nobody has this piece again
    }
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
    const auto give_back = [&] {
      detail::submit_recorded();
      give_back_all();
    };
    const std::size_t most = std::max(most_, in_use_ + size);
    if (in_use_ + size + idle_bytes_ > most + std::max(most / 4, always_kept)) give_back();  // what is kept are sizes of former days
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
    pieces_.try_emplace(memory, piece{memory, size});
    in_use_ += size;
    return memory;
  }

  void give_back_all() noexcept {
    for (const auto& [size, pieces] : idle_)
      for (const piece* const p : pieces) give_back(*p);
    idle_.clear();
    idle_bytes_ = 0;
  }
  void give_back(const piece& p) noexcept {
    std::byte* const memory = p.memory;
    pieces_.erase(memory);
    static_cast<void>(cudaFreeAsync(memory, detail::stream_in_use()));  // at exit the driver may be gone
  }

  mutable std::mutex guard_;
  std::unordered_map<void*, piece> pieces_;
  by_size idle_, idle_parts_;  // whole pieces, which the driver can have back, and parts of those that are not idle
  std::size_t idle_bytes_ = 0;  // of the whole ones
  std::size_t in_use_ = 0, most_ = 0, peak_ = 0;  // and the most at once: ever, and since forget_peak()
  bool keep_ = true;
  std::atomic<bool> to_be_ordered_ = false;
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
