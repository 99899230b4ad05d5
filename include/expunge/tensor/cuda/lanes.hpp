// The threads that share one row or tile in a kernel; here the stand-in of one thread, with which the host runs the arithmetic.
#pragma once

#include "expunge/core/device.hpp"
#include "expunge/core/shape.hpp"

namespace expunge::cuda {

/// What a kernel's arithmetic asks of its threads: index(), count(), a barrier, and reductions that every thread calls and whose
/// result every thread gets: of the block (sum, max), and by f(a, b) of each `team` neighbours (team_reduce). copy() brings 4, 8 or 16
/// bytes, or zeros where they are not there, into the block's memory, where all threads see them behind arrive(), a barrier as well. The device's are block_lanes
/// (include/expunge/cuda/block_lanes.cuh).
struct serial_lanes {
  static constexpr int team = 1;
  [[nodiscard]] EXPUNGE_DEVICE int index() const { return 0; }
  [[nodiscard]] EXPUNGE_DEVICE int count() const { return 1; }
  EXPUNGE_DEVICE void sync() const {}
  template <class T>
  EXPUNGE_DEVICE T sum(T x) const {
    return x;
  }
  template <class T>
  EXPUNGE_DEVICE T max(T x) const {
    return x;
  }
  template <class T, class F>
  EXPUNGE_DEVICE T team_reduce(T x, const F& /*f*/) const {
    return x;
  }
  template <class T>
  EXPUNGE_DEVICE void copy(T* to, const T* from, bool there) const {
    *to = there ? *from : T{};
  }
  EXPUNGE_DEVICE void arrive() const {}
};

/// One of `all` threads that only share out what there is to do.
struct lane_of {
  int number, all;
  [[nodiscard]] EXPUNGE_DEVICE int index() const { return number; }
  [[nodiscard]] EXPUNGE_DEVICE int count() const { return all; }
};

/// Calls take(j, f(j)) for the j in [0, size) that are this thread's: f for four of them before take, so that what f reads is on its way
/// at once although take writes.
template <class Lanes, class F, class Take>
EXPUNGE_DEVICE void for_each_lane(const Lanes& lanes, index_t size, const F& f, const Take& take) {
  constexpr int together = 4;
  const index_t step = lanes.count();
  index_t j = lanes.index();
  for (; j + (together - 1) * step < size; j += together * step) {
    decltype(f(j)) values[together];
    for (int u = 0; u < together; ++u) values[u] = f(j + u * step);
    for (int u = 0; u < together; ++u) take(j + u * step, values[u]);
  }
  for (; j < size; j += step) take(j, f(j));
}

/// out[j] = f(j) for every j in [0, size).
template <class Lanes, class T, class F>
EXPUNGE_DEVICE void write_each(const Lanes& lanes, index_t size, T* out, const F& f) {
  for_each_lane(lanes, size, f, [&](index_t j, auto value) { out[j] = value; });
}

/// The sum over j in [0, size) of f(j).
template <class Lanes, class F>
EXPUNGE_DEVICE auto sum_over(const Lanes& lanes, index_t size, const F& f) {
  decltype(f(index_t{})) total = 0;
  for_each_lane(lanes, size, f, [&](index_t, auto value) { total += value; });
  return lanes.sum(total);
}

}  // namespace expunge::cuda
