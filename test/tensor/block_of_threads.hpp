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

/// `Team` neighbours reduce together; the block's threads must be at a team's reduction all at once, as barriers are of the block.
template <int Team>
struct thread_lanes {
  static constexpr int team = Team;
  block_state* state;
  int thread;

  [[nodiscard]] int index() const { return thread; }
  [[nodiscard]] int count() const { return static_cast<int>(state->slots.size()); }
  void sync() const { state->barrier.arrive_and_wait(); }
  template <class T>
  T sum(T x) const {
    return reduce(0, count(), x, plus<T>);
  }
  template <class T>
  T max(T x) const {
    return reduce(0, count(), x, larger<T>);
  }
  template <class T, class F>
  T team_reduce(T x, const F& f) const {
    return reduce(thread / Team * Team, Team, x, f);
  }
  template <class T>
  void copy(T* to, const T* from, bool there) const {
    *to = there ? *from : T{};
  }
  void arrive() const { sync(); }

 private:
  template <class T>
  static T plus(T a, T b) {
    return a + b;
  }
  template <class T>
  static T larger(T a, T b) {
    return a > b ? a : b;
  }
  template <class T, class F>
  T reduce(int first, int threads, T x, const F& f) const {
    if (threads == 1) return x;  // a team of one waits for nobody
    state->slots[static_cast<std::size_t>(thread)] = static_cast<double>(x);
    sync();
    T total = static_cast<T>(state->slots[static_cast<std::size_t>(first)]);
    for (int i = first + 1; i < first + threads; ++i) total = f(total, static_cast<T>(state->slots[static_cast<std::size_t>(i)]));
    sync();
    return total;
  }
};

/// Calls work(lanes) as one thread does alone, as three do together, and as two teams of two do.
struct alone {
  template <class F>
  static void run(const F& work) {
    work(cuda::serial_lanes{});
  }
};
template <int Threads, int Team>
struct block_of {
  template <class F>
  static void run(const F& work) {
    block_state state(Threads);
    std::vector<std::thread> threads;
    for (int i = 0; i < Threads; ++i) threads.emplace_back([&, i] { work(thread_lanes<Team>{&state, i}); });
    for (std::thread& t : threads) t.join();
  }
};
using together = block_of<3, 1>;
using in_teams = block_of<4, 2>;

}  // namespace expunge::testing
