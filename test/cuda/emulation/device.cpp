// The emulated device notices what it is there for; and expunge::cuda where such a device is small.
#include <boost/test/unit_test.hpp>
#include <expunge/loss/ssiuu.hpp>
#include <expunge/model/mlp.hpp>
#include <expunge/tensor/bfloat16_cuda_storage.hpp>
#include <expunge/unlearn/trainer.hpp>
#include <set>
#include <string>
#include <vector>

#include "../memory_lists.hpp"
#include "cublasLt.h"
#include "cuda_pipeline_primitives.h"
#include "emulation.hpp"

using namespace expunge;

namespace expunge::cuda {
extern __shared__ double shared_memory[];
}

namespace {

constexpr std::size_t plenty = std::size_t{1} << 30;

struct array {
  float* data = nullptr;
  explicit array(std::size_t size) {
    BOOST_TEST_REQUIRE(cudaMallocAsync(&data, size * sizeof(float), nullptr) == cudaSuccess);
  }
  array(const array&) = delete;
  array& operator=(const array&) = delete;
  ~array() { cudaFreeAsync(data, nullptr); }
};

__global__ void begin_early(unsigned waiting) {
  if (threadIdx.x < waiting) cudaGridDependencySynchronize();
}

template <class... P, class... A>
cudaError_t launch(void (*kernel)(P...), dim3 grid, unsigned threads, std::size_t shared, const A&... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = threads;
  config.dynamicSmemBytes = shared;
  cudaLaunchAttribute early{cudaLaunchAttributeProgrammaticStreamSerialization, {1}};
  config.attrs = &early;
  config.numAttrs = reinterpret_cast<void*>(kernel) == reinterpret_cast<void*>(begin_early) ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

/// What a kernel of 64 threads ends with.
template <class... P, class... A>
cudaError_t outcome(void (*kernel)(P...), const A&... arguments) {
  BOOST_TEST(launch(kernel, 2, 64, 64, arguments...) == cudaSuccess);
  const cudaError_t status = cudaStreamSynchronize(nullptr);
  emulation::recover();
  return status;
}

__global__ void reverse(float* out, bool barrier) {
  __shared__ float values[64];
  values[threadIdx.x] = static_cast<float>(64 * blockIdx.x + threadIdx.x);
  if (barrier) __syncthreads();
  out[blockIdx.x * 64 + threadIdx.x] = values[63 - threadIdx.x];
  __syncthreads();
}
__global__ void add_to_one_place(float* out) {
  out[0] = out[0] * 0.5F + static_cast<float>(threadIdx.x);
}
__global__ void read_unwritten_shared(float* out) {
  out[blockIdx.x * 64 + threadIdx.x] = static_cast<float>(expunge::cuda::shared_memory[0]);
}
__global__ void copy_ahead(const float* from, float* out, unsigned unfinished) {
  auto* const values = reinterpret_cast<float*>(expunge::cuda::shared_memory);
  __pipeline_memcpy_async(values + threadIdx.x % 8, from + threadIdx.x % 8, sizeof(float));
  __pipeline_commit();
  __pipeline_memcpy_async(values + 8 + threadIdx.x % 8, from + 8 + threadIdx.x % 8, sizeof(float));
  __pipeline_commit();
  __pipeline_wait_prior(unfinished);
  __syncthreads();
  out[blockIdx.x * 64 + threadIdx.x] = values[threadIdx.x % 16];
}
__global__ void copy_unaligned(const float* from) {
  __pipeline_memcpy_async(reinterpret_cast<float*>(expunge::cuda::shared_memory) + 1, from, 8);
}
__global__ void barrier_of_half(unsigned threads) {
  if (threadIdx.x < threads) __syncthreads();
}
__global__ void shuffle_of_half(unsigned mask) {
  if (threadIdx.x % 2 == 0) __shfl_xor_sync(mask, 1.0F, 2);
}
__global__ void write_shared(unsigned place) {
  expunge::cuda::shared_memory[place] = 0;
}
__global__ void nothing() {}

std::vector<model::labelled_sample> some(std::uint64_t seed) {
  philox g(seed);
  std::vector<model::labelled_sample> out;
  for (int i = 0; i < 4; ++i)
    out.push_back(
        {{standard_normal(g), standard_normal(g), standard_normal(g)}, static_cast<std::int32_t>(uniform_below(g, 4))});
  return out;
}

struct training {
  std::vector<float> weights;
  std::string message;
};

/// With `room` bytes beside the weights.
template <class X>
training trained(index_t steps, std::size_t room, bool graphs = false) {
  if (graphs) cuda::use_graphs(true);  // which the last end of memory may have ended
  auto m = model::random_mlp<X>({3, 8, 4}, 1);
  cuda::release_unused();
  const auto d = cuda::describe_device();
  emulation::set_memory(d.total_bytes - d.free_bytes + room);
  training out;
  try {
    unlearn::trainer(m, loss::ssiuu_exact(0.5), optim::adamw{.learning_rate = 1e-2}, {.batch = 4})
        .run(some(1), some(2), unlearn::after_steps(steps));
  } catch (const out_of_memory& e) {
    out.message = e.what();
  }
  emulation::set_memory(plenty);
  for (const X& p : nn::parameters(m))
    for (const float v : p.to_vector()) out.weights.push_back(v);
  return out;
}

template <class X>
void check_every_end_of_memory(bool graphs) {
  const std::vector<std::vector<float>> after{trained<X>(0, 0).weights, trained<X>(1, plenty / 2).weights,
                                              trained<X>(2, plenty / 2).weights};
  BOOST_TEST((after[2] != after[1]));
  std::set<std::string> purposes, parts;
  for (std::size_t room = 0;; room += 512) {
    const training t = trained<X>(2, room, graphs);
    if (t.message.empty()) break;
    const std::string purpose = t.message.substr(0, t.message.find(": "));
    purposes.insert(purpose);
    for (const char* part : {": layer 0: ", ": layer 1: ", ": sweep over layer 0: ", ": sweep over layer 1: "})
      if (t.message.find(part) != std::string::npos) parts.insert(part);
    BOOST_TEST_REQUIRE(t.message.find("has no room for") != std::string::npos, t.message);
    BOOST_TEST_REQUIRE((t.weights == after[purpose.starts_with("step 2") ? 1 : 0]), t.message);
  }
  for (const char* purpose :
       {"moments of the optimizer", "step 1 (the model is as it was before the step)",
        "step 2 (the model is as it was before the step)"})
    BOOST_TEST(purposes.contains(purpose), purpose << " was never named");
  // Layer 0 is swept over in what layer 1 gave back.
  BOOST_TEST((parts == std::set<std::string>{": layer 0: ", ": layer 1: ", ": sweep over layer 1: "}));
  BOOST_TEST((trained<X>(2, plenty / 2).weights == after[2]));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(emulated_device)

BOOST_AUTO_TEST_CASE(mistakes_between_threads) {
  trained<tensor<float, cuda_storage<float>>>(
      1, plenty / 2);  // the device knows then that no kernel uses the workspace of products
  const array out(128);
  BOOST_TEST(outcome(reverse, out.data, true) == cudaSuccess);
  BOOST_TEST(outcome(reverse, out.data, false) == cudaErrorLaunchFailure);
  BOOST_TEST(outcome(add_to_one_place, out.data) == cudaErrorLaunchFailure);
  BOOST_TEST(outcome(begin_early, 64U) == cudaSuccess);
  BOOST_TEST(outcome(begin_early, 63U) == cudaErrorLaunchFailure);
  BOOST_TEST(outcome(barrier_of_half, 64U) == cudaSuccess);
  BOOST_TEST(outcome(barrier_of_half, 63U) == cudaErrorLaunchFailure);
  BOOST_TEST(outcome(shuffle_of_half, 0x55555555U) == cudaSuccess);
  BOOST_TEST(outcome(shuffle_of_half, 0xFFFFFFFFU) == cudaErrorLaunchFailure);
  BOOST_TEST(outcome(shuffle_of_half, 0x00005555U) == cudaErrorLaunchFailure);
}

BOOST_AUTO_TEST_CASE(shared_memory_is_that_of_the_launch) {
  const array out(128);
  BOOST_TEST(outcome(write_shared, 7U) == cudaSuccess);
  BOOST_TEST(outcome(write_shared, 8U) == cudaErrorIllegalAddress);
  BOOST_TEST(outcome(read_unwritten_shared, out.data) == cudaSuccess);
  float values[128];
  BOOST_TEST(cudaMemcpyAsync(values, out.data, sizeof values, cudaMemcpyDeviceToHost, nullptr) == cudaSuccess);
  BOOST_TEST(cudaStreamSynchronize(nullptr) == cudaSuccess);
  BOOST_TEST(std::isnan(values[0]));
}

BOOST_AUTO_TEST_CASE(asynchronous_copies_come_when_they_are_waited_for) {
  const array from(128), out(128);
  std::vector<float> values(128);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  BOOST_TEST(cudaMemcpyAsync(from.data, values.data(), 512, cudaMemcpyHostToDevice, nullptr) == cudaSuccess);
  for (const unsigned unfinished : {0U, 1U, 2U}) {
    BOOST_TEST(outcome(copy_ahead, from.data, out.data, unfinished) == cudaSuccess);
    float found[128];
    BOOST_TEST(cudaMemcpyAsync(found, out.data, sizeof found, cudaMemcpyDeviceToHost, nullptr) == cudaSuccess);
    BOOST_TEST(cudaStreamSynchronize(nullptr) == cudaSuccess);
    BOOST_TEST((unfinished == 2 ? std::isnan(found[65]) : found[65] == 1));
    BOOST_TEST((unfinished != 0 ? std::isnan(found[73]) : found[73] == 9));
  }
  BOOST_TEST(outcome(copy_unaligned, from.data) == cudaErrorMisalignedAddress);
}

BOOST_AUTO_TEST_CASE(launches_over_the_limits) {
  BOOST_TEST(launch(nothing, 1, 1024, 48 << 10) == cudaSuccess);
  BOOST_TEST(launch(nothing, 1, 1025, 0) == cudaErrorInvalidConfiguration);
  BOOST_TEST(launch(nothing, 0, 32, 0) == cudaErrorInvalidConfiguration);
  BOOST_TEST(launch(nothing, dim3(1, 65536), 32, 0) == cudaErrorInvalidConfiguration);
  BOOST_TEST(launch(nothing, 1, 32, (48 << 10) + 1) == cudaErrorInvalidValue);
  BOOST_TEST(cudaFuncSetAttribute(nothing, cudaFuncAttributeMaxDynamicSharedMemorySize, (227 << 10) + 1) ==
             cudaErrorInvalidValue);
  BOOST_TEST(cudaFuncSetAttribute(nothing, cudaFuncAttributeMaxDynamicSharedMemorySize, 64 << 10) == cudaSuccess);
  BOOST_TEST(launch(nothing, 1, 32, 64 << 10) == cudaSuccess);
  BOOST_TEST(cudaStreamSynchronize(nullptr) == cudaSuccess);
  cudaGetLastError();
}

BOOST_AUTO_TEST_CASE(work_is_done_when_the_host_waits) {
  const array out(128);
  float there = 5, back = 0;
  BOOST_TEST(cudaMemcpyAsync(out.data, &there, sizeof there, cudaMemcpyHostToDevice, nullptr) == cudaSuccess);
  there = 6;
  BOOST_TEST(cudaMemcpyAsync(&back, out.data, sizeof back, cudaMemcpyDeviceToHost, nullptr) == cudaSuccess);
  BOOST_TEST(std::isnan(back));
  BOOST_TEST(cudaStreamSynchronize(nullptr) == cudaSuccess);
  BOOST_TEST(back == 5);
  BOOST_TEST(cudaMemcpyAsync(&back, out.data + 127, 8, cudaMemcpyDeviceToHost, nullptr) == cudaErrorInvalidValue);
  BOOST_TEST(cudaFreeAsync(out.data + 1, nullptr) == cudaErrorInvalidValue);
  emulation::recover();
}

BOOST_AUTO_TEST_CASE(graphs_are_of_kernels_and_products_alone) {
  cudaStream_t stream = nullptr;
  BOOST_TEST(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  const array out(128);
  const auto refused = [&](const auto& call) {
    cudaGraph_t graph = nullptr;
    BOOST_TEST(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
    BOOST_TEST(call() == cudaErrorStreamCaptureUnsupported);
    emulation::recover();
    BOOST_TEST(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
    cudaGraphDestroy(graph);
  };
  float* memory = nullptr;
  refused([&] { return cudaMallocAsync(&memory, 16, stream); });
  refused([&] { return cudaFreeAsync(out.data, stream); });
  refused([&] { return cudaMemsetAsync(out.data, 0, 16, stream); });
  refused([&] { return cudaStreamSynchronize(stream); });

  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  BOOST_TEST(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  cudaLaunchConfig_t config{};
  config.stream = stream;
  config.gridDim = 2, config.blockDim = 64;
  BOOST_TEST(cudaLaunchKernelEx(&config, reverse, out.data, true) == cudaSuccess);
  BOOST_TEST(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
  BOOST_TEST(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess);
  cudaGraphDestroy(graph);
  for (int launched = 0; launched < 2; ++launched) {
    float values[128];
    BOOST_TEST(cudaMemsetAsync(out.data, 0, sizeof values, nullptr) == cudaSuccess);
    BOOST_TEST(cudaGraphLaunch(executable, nullptr) == cudaSuccess);
    BOOST_TEST(cudaMemcpyAsync(values, out.data, sizeof values, cudaMemcpyDeviceToHost, nullptr) == cudaSuccess);
    BOOST_TEST(cudaStreamSynchronize(nullptr) == cudaSuccess);
    BOOST_TEST(values[0] == 63);
  }
  BOOST_TEST(cudaGraphLaunch(executable, nullptr) == cudaSuccess);
  BOOST_TEST(cudaGraphExecDestroy(executable) == cudaErrorInvalidValue);  // it has work to do
  emulation::recover();
  cudaStreamDestroy(stream);
}

BOOST_AUTO_TEST_CASE(where_graphs_are_not_to_be_had_steps_go_on) {
  using X = tensor<float, cuda_storage<float>>;
  cuda::keep_freed(true);
  std::size_t least = 0;
  while (!trained<X>(12, least).message.empty()) least += 4096;
  const auto expected = trained<X>(12, plenty / 2);
  const auto used = [&](std::size_t room) {
    cuda::use_graphs(true);
    const auto found = trained<X>(12, room);
    BOOST_TEST(found.message == "");
    BOOST_TEST((found.weights == expected.weights));
    return cuda::describe_graphs();
  };
  const auto all = used(plenty / 2);
  BOOST_TEST(all.given_up == "");
  std::set<std::string> reasons;
  for (std::size_t graphs = 0; graphs < 8; ++graphs) {
    const auto some = used(least + 4096 * graphs);
    BOOST_TEST((some.given_up.empty() || some.in_graphs < all.in_graphs));
    reasons.insert(some.given_up.substr(0, some.given_up.find(" failed")));
  }
  BOOST_TEST(reasons.contains("CUDA: making a graph of repeated work"));
  for (int call = 0;; ++call) {
    emulation::refuse_graph_call(call);
    const auto some = used(plenty / 2);
    emulation::refuse_graph_call(-1);
    if (some.given_up.empty()) break;
    BOOST_TEST(some.given_up.ends_with("invalid argument"));
    BOOST_TEST(some.in_graphs < all.in_graphs);
    reasons.insert(some.given_up.substr(0, some.given_up.find(" failed")));
  }
  BOOST_TEST(reasons.contains("CUDA: launching a graph"));
  cuda::use_graphs(false);
  testing::use_memory_lists();
}

BOOST_AUTO_TEST_CASE(what_is_uploaded_may_change_afterwards) {
  std::vector<float> values{1, 2, 3, 4};
  BOOST_TEST(cudaHostRegister(values.data(), 4 * sizeof(float), 0) == cudaSuccess);  // copies read it when their turn comes
  const tensor<float, cuda_storage<float>> x({4}, values);
  values.assign(4, -7);
  BOOST_TEST((x.to_vector() == std::vector<float>{1, 2, 3, 4}));
  BOOST_TEST(cudaHostUnregister(values.data()) == cudaSuccess);
}

BOOST_AUTO_TEST_CASE(the_pool_is_trimmed_where_nothing_fits) {
  cuda::release_unused();
  const auto d = cuda::describe_device();
  emulation::set_memory(d.total_bytes - d.free_bytes + 4096);
  cuda::release(cuda::allocate(4096));  // is kept, and fits no other size
  void* const smaller = cuda::allocate(2048);
  BOOST_TEST(cuda::describe_device().free_bytes == 2048U);
  BOOST_CHECK_THROW(static_cast<void>(cuda::allocate(4096)), out_of_memory);
  cuda::release(smaller);
  emulation::set_memory(plenty);
}

BOOST_AUTO_TEST_CASE(memory_is_given_back_behind_the_work_that_waits_to_be_a_graph) {
  using X = tensor<float, cuda_storage<float>>;
  const testing::with_graphs used;
  const shape extents{1 << 18};  // of a MiB
  const auto given_back_by = [&](const auto& f) {
    cuda::release_unused();
    const auto d = cuda::describe_device();
    emulation::set_memory(d.total_bytes - d.free_bytes + (std::size_t{3} << 20));
    X y(extents);
    {
      const X x(extents, std::vector<float>(std::size_t{1} << 18, 1));
      copy_into(y, x);
    }
    f();
    emulation::set_memory(plenty);
    BOOST_TEST((y.to_vector() == std::vector<float>(std::size_t{1} << 18, 1)));
  };
  given_back_by([] { cuda::release_unused(); });
  given_back_by([] { cuda::release(cuda::allocate(std::size_t{2} << 20)); });
}

BOOST_AUTO_TEST_CASE(a_little_memory_of_many_sizes_stays_in_the_lists) {
  cuda::release_unused();
  cuda::keep_freed(true);
  const auto lent = [] {
    std::uint64_t bytes = 0;
    cudaMemPoolGetAttribute(nullptr, cudaMemPoolAttrUsedMemCurrent, &bytes);
    return bytes;
  };
  const std::uint64_t before = lent();
  for (const std::size_t size : {std::size_t{100} << 20, std::size_t{40} << 20}) cuda::release(cuda::allocate(size));
  BOOST_TEST(lent() == before + (140 << 20));
  cuda::release(cuda::allocate(300 << 20));  // too much beside what was ever used at once
  BOOST_TEST(lent() == before + (300 << 20));
  cuda::release_unused();
  testing::use_memory_lists();
}

BOOST_AUTO_TEST_CASE(memory_ends_anywhere_and_the_model_is_that_of_the_last_step) {
  check_every_end_of_memory<tensor<float, cuda_storage<float>>>(false);
  check_every_end_of_memory<tensor<float, bfloat16_cuda_storage<float>>>(false);
  const testing::with_graphs used;
  check_every_end_of_memory<tensor<float, cuda_storage<float>>>(true);
  check_every_end_of_memory<tensor<float, bfloat16_cuda_storage<float>>>(true);
}

BOOST_AUTO_TEST_SUITE_END()
