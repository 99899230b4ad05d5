// Work that repeats, as CUDA graphs. What is submitted is recorded as bytes, so many operations at a time; where the same bytes come
// for the second time they become a graph, and from then on the driver is told of all these operations at once.
#include <cuda_runtime.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "expunge/cuda/launch.cuh"

namespace expunge::cuda {

namespace {

constexpr std::size_t most_operations = 128;  // of a graph: the device begins while the host records the next ones
constexpr std::size_t fewest_operations = 8;  // for which a graph is worth its launch
constexpr std::size_t most_graphs = 1024;
constexpr std::size_t most_seen = 65536;

struct destroy_graph {
  void operator()(cudaGraphExec_t graph) const noexcept { static_cast<void>(cudaGraphExecDestroy(graph)); }
};
using executable_graph = std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, destroy_graph>;

class recorder {
 public:
  void record(detail::resubmission submit, std::initializer_list<std::span<const std::byte>> parts) {
    const std::lock_guard lock(guard_);
    std::size_t bytes = 0;
    for (const auto& part : parts) bytes += part.size();
    append(detail::bytes_of(submit));
    append(detail::bytes_of(bytes));
    for (const auto& part : parts) append(part);
    if (++operations_ == most_operations) submit_all();
  }

  void submit_recorded() {
    const std::lock_guard lock(guard_);
    submit_all();
  }

  void use(bool on) {
    const std::lock_guard lock(guard_);
    submit_all();
    in_use_ = on;
    if (!on) forget();
  }
  [[nodiscard]] bool in_use() const { return in_use_; }
  [[nodiscard]] submitted_operations count() const {
    const std::lock_guard lock(guard_);
    return count_;
  }

 private:
  void append(std::span<const std::byte> bytes) { recorded_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size()); }

  void submit_all() {
    const std::size_t operations = std::exchange(operations_, 0);
    if (operations == 0) return;
    work_.swap(recorded_);  // nothing is recorded then, whatever happens
    recorded_.clear();
    const cudaGraphExec_t graph = operations < fewest_operations ? nullptr : graph_of_work();
    if (graph != nullptr) detail::check(cudaGraphLaunch(graph, detail::stream()), "launching a graph");
    else resubmit(detail::stream());
    (graph != nullptr ? count_.in_graphs : count_.alone) += operations;
  }

  void resubmit(cudaStream_t to) const {
    const auto* at = reinterpret_cast<const std::byte*>(work_.data());
    for (const auto* const end = at + work_.size(); at != end;) {
      const auto submit = detail::take<detail::resubmission>(at);
      const auto bytes = detail::take<std::size_t>(at);
      submit(at, to);
      at += bytes;
    }
  }

  /// Null where this work is new or the device has no room for a graph of it.
  cudaGraphExec_t graph_of_work() {
    if (const auto known = graphs_.find(work_); known != graphs_.end()) return known->second.get();
    if (seen_.size() == most_seen) seen_.clear();
    if (seen_.insert(std::hash<std::string>{}(work_)).second) return nullptr;
    if (graphs_.size() == most_graphs) forget();
    executable_graph made = captured();
    return made == nullptr ? nullptr : graphs_.emplace(work_, std::move(made)).first->second.get();
  }

  executable_graph captured() {
    constexpr const char* what = "making a graph of repeated work";
    static_cast<void>(detail::stream());  // makes the device current
    if (aside_ == nullptr) detail::check(cudaStreamCreateWithFlags(&aside_, cudaStreamNonBlocking), "making a stream");
    detail::check(cudaStreamBeginCapture(aside_, cudaStreamCaptureModeThreadLocal), what);
    cudaGraph_t graph = nullptr;
    try {
      resubmit(aside_);
    } catch (...) {
      static_cast<void>(cudaStreamEndCapture(aside_, &graph));
      if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
      throw;
    }
    detail::check(cudaStreamEndCapture(aside_, &graph), what);
    cudaGraphExec_t made = nullptr;
    const cudaError_t status = cudaGraphInstantiate(&made, graph, 0);
    static_cast<void>(cudaGraphDestroy(graph));
    if (status == cudaErrorMemoryAllocation) {
      static_cast<void>(cudaGetLastError());
      forget();
    } else {
      detail::check(status, what);
    }
    return executable_graph(made);
  }

  /// Gives the device its room back, once no graph is at work.
  void forget() {
    if (graphs_.empty()) return;
    detail::check(cudaStreamSynchronize(detail::stream()), "waiting for the device");
    graphs_.clear();
    seen_.clear();
  }

  mutable std::mutex guard_;
  std::atomic<bool> in_use_ = false;
  std::string recorded_, work_;  // what waits to be submitted, and what is being submitted
  std::size_t operations_ = 0;   // recorded ones
  std::unordered_map<std::string, executable_graph> graphs_;  // by their work
  std::unordered_set<std::size_t> seen_;                      // hashes of work that came before
  cudaStream_t aside_ = nullptr;                              // on which graphs are captured
  submitted_operations count_{};
};

/// Lives until the process ends, as whoever gives memory back does.
recorder& the_recorder() {
  static auto* const made = new recorder;
  return *made;
}

}  // namespace

namespace detail {

bool graphs_in_use() { return the_recorder().in_use(); }
void record(resubmission submit, std::initializer_list<std::span<const std::byte>> parts) { the_recorder().record(submit, parts); }
void submit_recorded() { the_recorder().submit_recorded(); }

}  // namespace detail

void use_graphs(bool use) {
  require(!use || freed_is_kept(), "CUDA: use_graphs() needs freed memory that is kept, so that addresses repeat: call keep_freed(true) first");
  the_recorder().use(use);
}

submitted_operations count_submitted() { return the_recorder().count(); }

}  // namespace expunge::cuda
