// Worker threads that share independent blocks of work.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/core/processors.hpp"
#include "expunge/core/shape.hpp"

namespace expunge {

/// Runs blocks of work on all its threads, the caller's included. Blocks are claimed dynamically, so a caller that
/// wants the same bits for any number of threads divides its work by shape alone and lets every block write its own
/// output. A call from inside a block runs serially. One parallel region at a time; others wait their turn. A process that forks while
/// it has threads leaves the child without them: a child must not use the library.
class thread_pool {
 public:
  /// Created at first use with usable_processors() threads, or as many as the system gives.
  static thread_pool& instance() {
    static thread_pool pool(usable_processors());
    return pool;
  }

  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;
  ~thread_pool() { stop(); }

  [[nodiscard]] std::size_t threads() const { return threads_; }

  /// Throws expunge::error for zero, and where the system gives fewer (the number is then what it was, if it gives those). Must not be called
  /// from inside a block.
  void set_threads(std::size_t count) {
    require(count >= 1, "thread_pool: the number of threads must be at least 1");
    const std::lock_guard region(region_);
    const std::size_t before = threads_;
    stop();
    start(count);
    if (threads_ == count) return;
    const std::size_t found = threads_;
    stop();
    start(before);
    fail("thread_pool: the system gives ", found, " threads, not ", count, "; ask for fewer");
  }

  /// Calls work(i) once for each i in [0, blocks). Rethrows the first exception after all threads have left.
  template <class Work>
  void run(index_t blocks, Work&& work) {
    if (blocks <= 1 || threads_ == 1 || inside_) {
      for (index_t i = 0; i < blocks; ++i) work(i);
      return;
    }
    const std::lock_guard region(region_);
    const inside_scope scope;
    job current{[](void* context, index_t i) { (*static_cast<std::remove_reference_t<Work>*>(context))(i); },
                const_cast<void*>(static_cast<const void*>(std::addressof(work))), blocks};
    {
      const std::lock_guard lock(mutex_);
      job_ = &current;
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    current.drain();
    {
      const std::lock_guard lock(mutex_);
      job_ = nullptr;  // a thread that has not come yet, where there are more than processors, need not
    }
    wait_until_idle();
    if (current.failure) std::rethrow_exception(current.failure);
  }

 private:
  static constexpr int spins = 4000;  // about 20 microseconds before a waiting thread sleeps

  struct job {
    void (*call)(void*, index_t);
    void* context;
    index_t blocks;
    std::atomic<index_t> next{0};
    std::exception_ptr failure{};
    std::mutex failure_mutex{};

    void drain() {
      for (index_t i = next.fetch_add(1); i < blocks; i = next.fetch_add(1)) {
        try {
          call(context, i);
        } catch (...) {
          const std::lock_guard lock(failure_mutex);
          if (!failure) failure = std::current_exception();
          next.store(blocks);
        }
      }
    }
  };

  struct inside_scope {
    inside_scope() { inside_ = true; }
    ~inside_scope() { inside_ = false; }
    inside_scope(const inside_scope&) = delete;
    inside_scope& operator=(const inside_scope&) = delete;
  };

  explicit thread_pool(std::size_t count) { start(count); }

  /// `count` threads with the caller's, or as many as the system gives.
  void start(std::size_t count) {
    stopping_ = false;
    try {
      while (workers_.size() + 1 < count) workers_.emplace_back([this, seen = generation_.load()]() mutable { serve(seen); });
    } catch (const std::system_error&) {  // a limit
    }
    threads_ = workers_.size() + 1;
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
    threads_ = 1;
  }

  void serve(std::size_t seen) {
    inside_ = true;
    for (;;) {
      for (int spin = 0; spin < spins && generation_.load(std::memory_order_acquire) == seen; ++spin) pause();
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return generation_.load() != seen; });
      seen = generation_.load();
      if (stopping_) return;
      job* const current = job_;
      if (current == nullptr) continue;
      active_.fetch_add(1, std::memory_order_relaxed);
      lock.unlock();
      current->drain();
      if (active_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        const std::lock_guard notify(mutex_);
        idle_.notify_one();
      }
    }
  }

  void wait_until_idle() {
    for (int spin = 0; spin < spins && active_.load(std::memory_order_acquire) != 0; ++spin) pause();
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [&] { return active_.load(std::memory_order_acquire) == 0; });
  }

  static void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    std::this_thread::yield();
#endif
  }

  inline static thread_local bool inside_ = false;

  std::vector<std::thread> workers_;
  std::atomic<std::size_t> threads_{1};  // with the caller's; others may ask while they change
  std::mutex region_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::atomic<std::size_t> generation_{0};
  std::atomic<std::size_t> active_{0};  // threads at work on a job; more come under mutex_ alone, while job_ is there
  job* job_ = nullptr;
  bool stopping_ = false;
};

/// Calls work(i) for each i in [0, blocks) on the library's thread pool.
template <class Work>
void parallel_for(index_t blocks, Work&& work) {
  thread_pool::instance().run(blocks, std::forward<Work>(work));
}

/// Splits [0, size) into blocks of `grain` (the last may be shorter) and calls work(begin, end) for each. The split
/// depends on size and grain alone, never on the number of threads.
template <class Work>
void parallel_blocks(index_t size, index_t grain, Work&& work) {
  const index_t blocks = (size + grain - 1) / grain;
  parallel_for(blocks, [&](index_t block) {
    const index_t begin = block * grain;
    work(begin, begin + grain < size ? begin + grain : size);
  });
}

}  // namespace expunge
