// The threads of a block: fibers that take turns, from one barrier or shuffle to the next.
#include <algorithm>
#include <array>
#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>
#include <memory>
#include <numeric>
#include <random>
#include <vector>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "cuda_pipeline_primitives.h"
#include "emulation.hpp"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace expunge::cuda {
/// The memory that kernels declare as `extern __shared__`.
alignas(16) thread_local double shared_memory[emulation::shared_bytes / sizeof(double)];
}  // namespace expunge::cuda

namespace emulation {

namespace {

using boost::context::fiber;

constexpr unsigned warp_size = 32;

enum class state { ready, at_barrier, at_shuffle, ended };

/// A stack on which threads run, one after another where they need not wait.
struct strand {
  fiber inside, outside;
  const std::function<void()>* work = nullptr;
  bool idle = true;

  strand()
      : inside(std::allocator_arg, boost::context::fixedsize_stack(std::size_t{96} << 10), [this](fiber&& caller) {
          outside = std::move(caller);
          for (;;) {
            (*work)();
            idle = true;
            wait();
          }
          return fiber{};
        }) {}
  void run() { inside = std::move(inside).resume(); }
  void wait() { outside = std::move(outside).resume(); }
};

struct copy {
  void* to;
  const void* from;
  std::size_t bytes, zeros;  // behind them
};

struct thread {
  state at = state::ready;
  strand* on = nullptr;  // null: not begun, or ended
  unsigned mask = 0, step = 0;
  std::uint64_t value = 0;
  bool waited = false;  // for the kernels before
  std::vector<std::vector<copy>> copies;  // asynchronous ones that have not come, in batches; the last batch is open
};

std::vector<unsigned> arranged(unsigned count, unsigned order) {
  std::vector<unsigned> places(count);
  std::iota(places.begin(), places.end(), 0U);
  if (order == 1) std::reverse(places.begin(), places.end());
  if (order > 1) std::shuffle(places.begin(), places.end(), std::mt19937(order));
  return places;
}

thread* current = nullptr;
auto& strands = *new std::vector<std::unique_ptr<strand>>;  // for every launch

void wait(state at) {
  current->at = at;
  current->on->wait();
}

class block_of_threads {
 public:
  block_of_threads(unsigned count, const std::function<void()>& work, unsigned order)
      : work_(work),
        threads_(count),
        warps_(arranged((count + warp_size - 1) / warp_size, order)),
        lanes_(arranged(warp_size, order)) {}

  /// What went wrong; null: nothing.
  const char* run() {
    std::fill(threads_.begin(), threads_.end(), thread{});
    taken_ = 0;
    for (;;) {
      for (const unsigned warp : warps_)
        if (const char* wrong = run_warp(warp)) return wrong;
      const auto ended =
          std::count_if(threads_.begin(), threads_.end(), [](const thread& t) { return t.at == state::ended; });
      if (ended == static_cast<std::ptrdiff_t>(threads_.size())) return nullptr;
      if (ended != 0) return "threads of a block ended while others waited at a barrier";
      for (thread& t : threads_) t.at = state::ready;
    }
  }

 private:
  /// Until every lane is at a barrier or has ended.
  const char* run_warp(unsigned warp) {
    thread* const first = &threads_[warp * warp_size];
    const unsigned lanes = std::min(warp_size, static_cast<unsigned>(threads_.size()) - warp * warp_size);
    for (;;) {
      for (const unsigned lane : lanes_)
        if (lane < lanes && first[lane].at == state::ready) run_thread(warp * warp_size + lane);
      unsigned here = 0;  // the lanes that are at a shuffle
      std::array<std::uint64_t, warp_size> values{};
      for (unsigned lane = 0; lane < lanes; ++lane)
        if (first[lane].at == state::at_shuffle) here |= 1U << lane, values[lane] = first[lane].value;
      if (here == 0) return nullptr;
      for (unsigned lane = 0; lane < lanes; ++lane) {
        thread& t = first[lane];
        if (t.at != state::at_shuffle) continue;
        const unsigned from = (lane ^ t.step) % warp_size;
        if ((t.mask & ~here) != 0) return "a lane that a shuffle's mask names did not take part in it";
        if ((t.mask >> lane & t.mask >> from & 1U) == 0) return "a shuffle from or to a lane outside its mask";
        t.value = values[from];
        t.at = state::ready;
      }
    }
  }

  void run_thread(unsigned number) {
    thread& t = threads_[number];
    if (t.on == nullptr) {
      if (taken_ == strands.size()) strands.push_back(std::make_unique<strand>());
      t.on = strands[taken_++].get();
      t.on->work = &work_;
      t.on->idle = false;
    }
    threadIdx = {number, 0, 0};
    current = &t;
    t.on->run();
    if (!t.on->idle) return;
    t.at = state::ended;
    if (t.on == strands[taken_ - 1].get()) --taken_;  // the next thread's too: a kernel without barriers needs one
  }

  const std::function<void()>& work_;
  std::vector<thread> threads_;
  std::vector<unsigned> warps_, lanes_;
  std::size_t taken_ = 0;  // strands, of this block
};

}  // namespace

std::uint64_t exchange(unsigned mask, unsigned step, std::uint64_t value) {
  current->mask = mask;
  current->step = step;
  current->value = value;
  thread* const self = current;
  wait(state::at_shuffle);
  return self->value;
}

void run_grid(const dim3& grid, unsigned threads, std::size_t shared, const std::function<void()>& work,
              unsigned order) {
#ifdef __SSE__
  _mm_setcsr(_mm_getcsr() |
             0x3FU);  // a switch to a fiber with other flags of floating-point exceptions is slow: all have all of them
#endif
  gridDim = grid;
  blockDim = dim3(threads);
  block_of_threads block(threads, work, order);
  auto* const memory = reinterpret_cast<unsigned char*>(expunge::cuda::shared_memory);
  if (shared != 0) std::memset(memory, 0xFF, shared_bytes);
  for (const unsigned number : arranged(grid.x * grid.y, order)) {
    blockIdx = {number % grid.x, number / grid.x, 0};
    std::memset(memory, 0xFF, shared);
    if (const char* wrong = block.run()) {
      strands.clear();  // some wait for ever
      return fail(cudaErrorLaunchFailure, wrong);
    }
    const unsigned char* const behind = memory + shared;
    if (shared != 0 && shared < shared_bytes &&
        (*behind != 0xFF || std::memcmp(behind, behind + 1, shared_bytes - shared - 1) != 0))
      return fail(cudaErrorIllegalAddress, "a write behind the shared memory of a block");
  }
}

}  // namespace emulation

void __pipeline_memcpy_async(void* shared, const void* global, std::size_t bytes, std::size_t zeros) {
  const auto misaligned = [&](const void* p) { return reinterpret_cast<std::uintptr_t>(p) % bytes != 0; };
  if (misaligned(shared) || misaligned(global)) emulation::fail(cudaErrorMisalignedAddress, "an asynchronous copy that is not aligned");
  std::memset(shared, 0xFF, bytes);
  auto& copies = emulation::current->copies;
  if (copies.empty()) copies.emplace_back();
  copies.back().push_back({shared, global, bytes - zeros, zeros});
}
void __pipeline_commit() {
  emulation::current->copies.emplace_back();
}
void __pipeline_wait_prior(std::size_t batches) {
  auto& copies = emulation::current->copies;
  for (; copies.size() > batches + 1; copies.erase(copies.begin()))
    for (const auto& [to, from, bytes, zeros] : copies.front()) {
      if (bytes != 0) std::memcpy(to, from, bytes);
      std::memset(static_cast<unsigned char*>(to) + bytes, 0, zeros);
    }
}

void cudaGridDependencySynchronize() { emulation::current->waited = true; }

void emulation::require_waited() {
  if (!current->waited) fail(cudaErrorLaunchFailure, "a kernel that may begin early did not wait for earlier work");
}

void __syncthreads() {
  emulation::wait(emulation::state::at_barrier);
}
