// Which examples a step sees.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "expunge/core/random.hpp"

namespace expunge::unlearn {

/// given: the set's own order, starting over at its end within a batch; shuffled: a new permutation every pass, so that a
/// pass ends with what is left of it.
enum class order { given, shuffled };

/// An endless sequence of batches over `size` examples; a pure function of the seed and the stream.
class batch_order {
 public:
  batch_order(order which, index_t size, index_t batch, std::uint64_t seed, std::uint64_t stream)
      : which_(which), size_(size), batch_(std::min(batch, size)), seed_(seed), stream_(stream) {
    require(size > 0 && batch > 0, "a batch of ", batch, " examples from a set of ", size, ": both must be positive");
  }

  /// The places of the next batch's examples in the set.
  std::vector<index_t> next() {
    std::vector<index_t> ids;
    for (index_t i = 0; i < batch_; ++i) {
      if (which_ == order::given) {
        ids.push_back(cursor_);
        cursor_ = (cursor_ + 1) % size_;
        continue;
      }
      if (cursor_ == 0) reshuffle();
      ids.push_back(permutation_[static_cast<std::size_t>(cursor_)]);
      cursor_ = (cursor_ + 1) % size_;
      if (cursor_ == 0) break;
    }
    return ids;
  }

 private:
  void reshuffle() {
    permutation_.resize(static_cast<std::size_t>(size_));
    for (std::size_t i = 0; i < permutation_.size(); ++i) permutation_[i] = static_cast<index_t>(i);
    philox generator(seed_ + 0x9E3779B97F4A7C15U * pass_++, stream_);
    shuffle(permutation_, generator);
  }

  order which_;
  index_t size_, batch_;
  std::uint64_t seed_, stream_, pass_ = 0;
  index_t cursor_ = 0;
  std::vector<index_t> permutation_;
};

}  // namespace expunge::unlearn
