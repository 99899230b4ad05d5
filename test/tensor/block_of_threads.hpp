// A block of a kernel run by host threads with real barriers, so that a data race in its arithmetic shows (thread sanitizer).
#pragma once

#include <barrier>
#include <cstddef>
#include <thread>
#include <vector>

#include <expunge/tensor/cuda/lanes.hpp>

namespace expunge::testing {

struct block_state {
  explicit block_state(int threads) : barrier(threads), slots(static_cast<std::size_t>(threads)) {}
  std::barrier<> barrier;
  std::vector<double> slots;
};

struct thread_lanes {
  block_state* state;
  int thread;

  [[nodiscard]] int index() const { return thread; }
  [[nodiscard]] int count() const { return static_cast<int>(state->slots.size()); }
  void sync() const { state->barrier.arrive_and_wait(); }
  template <class T>
  T sum(T x) const {
    return reduce(x, [](T a, T b) { return a + b; });
  }
  template <class T>
  T max(T x) const {
    return reduce(x, [](T a, T b) { return a > b ? a : b; });
  }

 private:
  template <class T, class F>
  T reduce(T x, const F& f) const {
    state->slots[static_cast<std::size_t>(thread)] = static_cast<double>(x);
    sync();
    T total = static_cast<T>(state->slots[0]);
    for (std::size_t i = 1; i < state->slots.size(); ++i) total = f(total, static_cast<T>(state->slots[i]));
    sync();
    return total;
  }
};

/// Calls work(lanes) as one thread does alone, and then as three do together.
struct alone {
  template <class F>
  static void run(const F& work) {
    work(cuda::serial_lanes{});
  }
};
struct together {
  template <class F>
  static void run(const F& work) {
    block_state state(3);
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back([&, i] { work(thread_lanes{&state, i}); });
    for (std::thread& t : threads) t.join();
  }
};

}  // namespace expunge::testing
