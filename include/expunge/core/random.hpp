// Counter-based random numbers (Philox4x32-10): a value is a pure function of (seed, stream, counter), so that a
// result never depends on how work was divided among threads. Distributions are ours because those of <random>
// differ between standard libraries.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <utility>
#include <vector>

#include "expunge/core/shape.hpp"

namespace expunge {

/// Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
/// Satisfies std::uniform_random_bit_generator. Copies continue independently from the same point.
class philox {
 public:
  using result_type = std::uint32_t;

  explicit philox(std::uint64_t seed, std::uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }

  result_type operator()() {
    if (position_ == block_.size()) {
      block_ = block(counter_++);
      position_ = 0;
    }
    return block_[position_++];
  }

  /// The four words of one counter value.
  [[nodiscard]] std::array<std::uint32_t, 4> block(std::uint64_t counter) const {
    std::array<std::uint32_t, 4> x{low(counter), high(counter), low(stream_), high(stream_)};
    std::uint32_t key0 = low(seed_);
    std::uint32_t key1 = high(seed_);
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t product0 = std::uint64_t{0xD2511F53U} * x[0];
      const std::uint64_t product1 = std::uint64_t{0xCD9E8D57U} * x[2];
      x = {high(product1) ^ x[1] ^ key0, low(product1), high(product0) ^ x[3] ^ key1, low(product0)};
      key0 += 0x9E3779B9U;
      key1 += 0xBB67AE85U;
    }
    return x;
  }

 private:
  static std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
  static std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32U); }

  std::uint64_t seed_;
  std::uint64_t stream_;
  std::uint64_t counter_ = 0;
  std::array<std::uint32_t, 4> block_{};
  std::size_t position_ = 4;
};

/// Uniform in [0, 1) with 32 bits of resolution.
inline double uniform01(philox& generator) { return static_cast<double>(generator()) * 0x1p-32; }

/// Uniform integer in [0, bound), unbiased (Lemire's rejection); bound > 0.
inline std::uint32_t uniform_below(philox& generator, std::uint32_t bound) {
  std::uint64_t product = std::uint64_t{generator()} * bound;
  if (static_cast<std::uint32_t>(product) < bound) {
    const std::uint32_t threshold = (0U - bound) % bound;
    while (static_cast<std::uint32_t>(product) < threshold) product = std::uint64_t{generator()} * bound;
  }
  return static_cast<std::uint32_t>(product >> 32U);
}

/// Standard normal (Box-Muller, one of the pair).
inline double standard_normal(philox& generator) {
  const double u = 1.0 - uniform01(generator);  // (0, 1]
  const double v = uniform01(generator);
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

/// Fisher-Yates; the same permutation on every platform for the same generator state.
template <class T>
void shuffle(std::vector<T>& items, philox& generator) {
  for (std::size_t i = items.size(); i > 1; --i)
    std::swap(items[i - 1], items[uniform_below(generator, static_cast<std::uint32_t>(i))]);
}

}  // namespace expunge
