// Work that repeats, as CUDA graphs. What is submitted is recorded as bytes, so many operations at a time; where the same bytes come
// for the second time they become a graph, and from then on the driver is told of all these operations at once.
#include <cuda_runtime.h>

#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "expunge/cuda/launch.cuh"

namespace expunge::cuda {

namespace {

constexpr std::size_t most_operations = 128;  // of a graph: the device begins while the host records the next ones
constexpr std::size_t fewest_operations = 8;  // for which a graph is worth its launch
constexpr std::size_t most_graphs = 1024;     // what comes then goes out as it is
constexpr std::size_t most_seen = 65536;

struct destroy_graph {
  void operator()(cudaGraph_t graph) const noexcept { static_cast<void>(cudaGraphDestroy(graph)); }
  void operator()(cudaGraphExec_t graph) const noexcept { static_cast<void>(cudaGraphExecDestroy(graph)); }
};
template <class Handle>
using owned = std::unique_ptr<std::remove_pointer_t<Handle>, destroy_graph>;

class recorder {
 public:
  void record(detail::submission submit, std::initializer_list<std::span<const std::byte>> parts) {
    const std::lock_guard lock(guard_);
    std::size_t bytes = 0;
    for (const auto& part : parts) bytes += part.size();
    recorded_.reserve(recorded_.size() + sizeof submit + sizeof bytes + bytes);  // a record is whole or is not there
    append(detail::bytes_of(submit));
    append(detail::bytes_of(bytes));
    for (const auto& part : parts) append(part);
    if (++operations_ == most_operations || !in_use_) submit_all();  // another thread may have ended it
  }

  void submit_recorded() {
    const std::lock_guard lock(guard_);
    submit_all();
  }

  void use(bool on) {
    const std::lock_guard lock(guard_);
    submit_all();
    if (!on) return end();
    in_use_ = true;
    state_ = {};
  }
  void give_up(const char* why) {
    const std::lock_guard lock(guard_);
    submit_all();
    state_.given_up = why;
    end();
  }
  [[nodiscard]] bool in_use() const { return in_use_; }
  [[nodiscard]] graph_use state() const {
    const std::lock_guard lock(guard_);
    return state_;
  }

 private:
  void append(std::span<const std::byte> bytes) { recorded_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size()); }

  void submit_all() {
    const std::size_t operations = std::exchange(operations_, 0);
    if (operations == 0) return;
    work_.swap(recorded_);  // nothing is recorded then, whatever happens
    recorded_.clear();
    if (in_use_ && operations >= fewest_operations && submitted_as_graph()) {
      state_.in_graphs += operations;
      return;
    }
    submit_each(detail::stream());
    state_.alone += operations;
    if (!state_.given_up.empty()) end();
  }

  void submit_each(cudaStream_t to) const {
    const auto* at = reinterpret_cast<const std::byte*>(work_.data());
    for (const auto* const end = at + work_.size(); at != end;) {
      const auto submit = detail::take<detail::submission>(at);
      const auto bytes = detail::take<std::size_t>(at);
      submit(at, to);
      at += bytes;
    }
  }

  /// False where the work is new or the device makes no graph of it, which is no error: it can go out as it is.
  bool submitted_as_graph() {
    try {
      const cudaGraphExec_t graph = graph_of_work();
      if (graph != nullptr) detail::check(cudaGraphLaunch(graph, detail::stream()), "launching a graph");
      return graph != nullptr;
    } catch (const std::exception& e) {
      state_.given_up = e.what();
      return false;
    }
  }

  cudaGraphExec_t graph_of_work() {
    if (const auto known = graphs_.find(work_); known != graphs_.end()) return known->second.get();
    if (graphs_.size() == most_graphs) return nullptr;
    if (seen_.size() == most_seen) seen_.clear();
    if (seen_.insert(std::hash<std::string>{}(work_)).second) return nullptr;
    return graphs_.emplace(work_, captured()).first->second.get();
  }

  owned<cudaGraphExec_t> captured() {
    constexpr const char* what = "making a graph of repeated work";
    static_cast<void>(detail::stream());  // makes the device current
    if (aside_ == nullptr) detail::check(cudaStreamCreateWithFlags(&aside_, cudaStreamNonBlocking), what);
    cudaGraph_t graph = nullptr;
    detail::check(cudaStreamBeginCapture(aside_, cudaStreamCaptureModeThreadLocal), what);
    try {
      submit_each(aside_);
    } catch (...) {
      static_cast<void>(cudaStreamEndCapture(aside_, &graph));
      static_cast<void>(cudaGetLastError());
      static_cast<void>(owned<cudaGraph_t>(graph));
      throw;
    }
    detail::check(cudaStreamEndCapture(aside_, &graph), what);
    const owned<cudaGraph_t> whole(graph);
    cudaGraphExec_t made = nullptr;
    detail::check(cudaGraphInstantiate(&made, graph, 0), what);
    return owned<cudaGraphExec_t>(made);
  }

  /// Gives the device its room back, once no graph is at work.
  void end() {
    in_use_ = false;
    if (!graphs_.empty()) detail::check(cudaStreamSynchronize(detail::stream()), "waiting for the device");
    graphs_.clear();
    seen_.clear();
  }

  mutable std::mutex guard_;
  std::atomic<bool> in_use_ = false;
  std::string recorded_, work_;  // what waits to be submitted, and what is being submitted
  std::size_t operations_ = 0;   // recorded ones
  std::unordered_map<std::string, owned<cudaGraphExec_t>> graphs_;  // by their work
  std::unordered_set<std::size_t> seen_;                            // hashes of work that came before
  cudaStream_t aside_ = nullptr;                                    // on which graphs are captured
  graph_use state_{};
};

/// Lives until the process ends, as whoever gives memory back does.
recorder& the_recorder() {
  static auto* const made = new recorder;
  return *made;
}

}  // namespace

namespace detail {

bool graphs_in_use() { return the_recorder().in_use(); }
void record(submission submit, std::initializer_list<std::span<const std::byte>> parts) { the_recorder().record(submit, parts); }
void submit_recorded() { the_recorder().submit_recorded(); }
void give_up_graphs(const char* why) { the_recorder().give_up(why); }

}  // namespace detail

void use_graphs(bool use) {
  require(!use || freed_is_kept(), "CUDA: use_graphs() needs freed memory that is kept, so that addresses repeat: call keep_freed(true) first");
  the_recorder().use(use);
}

graph_use describe_graphs() { return the_recorder().state(); }

}  // namespace expunge::cuda
