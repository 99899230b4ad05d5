// What the machine can do, measured beside what it does: clocks, caches and neighbours change from minute to minute.
#pragma once

#include <expunge/core/thread_pool.hpp>
#include <expunge/tensor/host/multiply_add.hpp>

#include <benchmark/benchmark.h>
#include <xsimd/xsimd.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

namespace measured {

inline double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

inline double median(std::vector<double>& values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// FLOP/s of all threads in a short loop of multiply-adds that touches registers only. Many blocks for each thread: with one,
/// a caller that finds the other threads asleep runs theirs too, and the peak reads as half of what it is.
inline double multiply_add_rate() {
  using batch = xsimd::batch<float>;
  constexpr expunge::index_t repeats = 10'000, blocks_a_thread = 64;
  constexpr std::size_t chains = 12;  // latency 4 x 2 units, and some to spare
  const expunge::index_t blocks = blocks_a_thread * static_cast<expunge::index_t>(expunge::thread_pool::instance().threads());
  std::vector<float> sink(static_cast<std::size_t>(blocks));
  const auto begin = std::chrono::steady_clock::now();
  expunge::parallel_blocks(blocks, 1, [&](expunge::index_t from, expunge::index_t) {
    const batch factor(0.999999F), term(1e-6F);
    const batch sum = [&]<std::size_t... C>(std::index_sequence<C...>) {  // a pack, not a loop: each chain stays in a register
      std::array<batch, chains> chain{batch(static_cast<float>(C))...};
      for (expunge::index_t i = 0; i < repeats; ++i) ((chain[C] = expunge::host::detail::multiply_add(chain[C], factor, term)), ...);
      return (chain[C] + ...);
    }(std::make_index_sequence<chains>{});
    sink[static_cast<std::size_t>(from)] = xsimd::hadd(sum);
  });
  benchmark::DoNotOptimize(sink.data());
  return 2.0 * chains * static_cast<double>(batch::size) * repeats * static_cast<double>(blocks) / seconds_since(begin);
}

}  // namespace measured
