// Memory for the nodes of a tape: handed out in order, freed at once, kept for the next recording.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

namespace expunge::detail {

class arena {
 public:
  /// Uninitialised memory that lives until reset() or destruction.
  void* allocate(std::size_t bytes, std::size_t alignment) {
    for (;; ++current_, used_ = 0) {
      if (current_ == chunks_.size()) {
        const std::size_t size = std::max(smallest_chunk << std::min<std::size_t>(chunks_.size(), 4), bytes + alignment);
        chunks_.push_back({std::make_unique<std::byte[]>(size), size});
      }
      chunk& c = chunks_[current_];
      void* position = c.memory.get() + used_;
      std::size_t room = c.size - used_;
      if (std::align(alignment, bytes, position, room) != nullptr) {
        used_ = c.size - room + bytes;
        return position;
      }
    }
  }

  void reset() { current_ = used_ = 0; }

 private:
  static constexpr std::size_t smallest_chunk = std::size_t{1} << 12U;  // doubled four times; a loss's own tape needs but one
  struct chunk {
    std::unique_ptr<std::byte[]> memory;
    std::size_t size;
  };
  std::vector<chunk> chunks_;
  std::size_t current_ = 0;
  std::size_t used_ = 0;
};

}  // namespace expunge::detail
