// Pieces of memory that the driver lent: which are in use, which are idle by size, what is cut from one and joins it again. It asks no device.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <unordered_map>
#include <vector>

namespace expunge::cuda {

/// What a piece is shrunk by is a piece beside it, until both are idle.
class memory_pieces {
 public:
  static std::size_t rounded(std::size_t bytes) { return (std::max<std::size_t>(bytes, 1) + 511) / 512 * 512; }

  /// Takes an idle piece: a whole one of this size or up to an eighth more, as batches of facts differ a little in length, or a part that is
  /// cut to it; null where there is none.
  std::byte* take(std::size_t size) {
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

  /// One that the driver lent just now, and that is in use.
  void add(std::byte* memory, std::size_t size) {
    pieces_.try_emplace(memory, piece{memory, size});
    in_use_ += size;
  }

  void release(void* memory) noexcept {
    piece& p = pieces_.find(memory)->second;
    in_use_ -= p.size;
    make_idle(p);
  }

  void shrink(void* memory, std::size_t size) {
    piece& p = pieces_.find(memory)->second;
    const std::size_t before = p.size;
    cut(p, size);
    in_use_ -= before - p.size;
  }

  /// From now on take() depends on what is idle and on nothing else.
  void order() {
    for (by_size* const idle : {&idle_, &idle_parts_})
      for (auto& [size, pieces] : *idle) {
        std::ranges::sort(pieces, std::greater{}, &piece::memory);
        for (std::size_t i = 0; i < pieces.size(); ++i) pieces[i]->place = i;
      }
  }

  /// Calls give_back(memory) for all whole idle pieces, and forgets them.
  template <class F>
  void drop_idle(const F& give_back) noexcept {
    for (const auto& [size, pieces] : idle_)
      for (const piece* const p : pieces) {
        std::byte* const memory = p->memory;
        pieces_.erase(memory);
        give_back(memory);
      }
    idle_.clear();
    idle_bytes_ = 0;
  }

  [[nodiscard]] std::size_t in_use() const { return in_use_; }  // bytes
  [[nodiscard]] std::size_t idle() const { return idle_bytes_; }  // bytes of whole pieces

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
  using by_size = std::map<std::size_t, std::vector<piece*>>;

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

  std::unordered_map<void*, piece> pieces_;
  by_size idle_, idle_parts_;  // whole pieces, which the driver can have back, and parts of those that are not idle
  std::size_t in_use_ = 0, idle_bytes_ = 0;
};

}  // namespace expunge::cuda
