// How many processors this process may use.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <fstream>
#include <istream>
#include <limits>
#include <thread>

#ifdef __linux__
#include <sched.h>
#endif

namespace expunge {

namespace detail {
/// Processors' worth of time that a control group's cpu.max ("200000 100000", microseconds of a period, or "max 100000") allows, rounded up.
inline std::size_t quota_of(std::istream& cpu_max) {
  double quota = 0, period = 0;
  if (!(cpu_max >> quota >> period) || quota <= 0 || period <= 0) return std::numeric_limits<std::size_t>::max();
  return static_cast<std::size_t>(std::ceil(quota / period));
}
}  // namespace detail

/// std::thread::hardware_concurrency(), or fewer where this thread may run on fewer (taskset) or the container has less time (Linux, control
/// groups v2); at least 1.
inline std::size_t usable_processors() {
  std::size_t count = std::thread::hardware_concurrency();
#ifdef __linux__
  cpu_set_t mine;
  if (sched_getaffinity(0, sizeof mine, &mine) == 0) count = std::min(count, static_cast<std::size_t>(CPU_COUNT(&mine)));
  std::ifstream cpu_max("/sys/fs/cgroup/cpu.max");
  count = std::min(count, detail::quota_of(cpu_max));
#endif
  return std::max<std::size_t>(1, count);
}

}  // namespace expunge
