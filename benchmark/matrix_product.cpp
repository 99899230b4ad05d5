// Matrix products of a training step of SmolLM2-135M, in float and of operands rounded to bf16 (bfloat16_*), as a share of the machine's
// multiply-add peak in float. The peak is measured between the products, because clocks and neighbours change; weights and their gradients
// come from memory, as in a step.
#include <expunge/tensor/bfloat16_host_storage.hpp>
#include <expunge/tensor/host_storage.hpp>
#include <expunge/tensor/math.hpp>

#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <string>
#include <vector>

#include "peak.hpp"

using namespace expunge;
using measured::median, measured::multiply_add_rate, measured::seconds_since;

namespace {

struct shape_of_product {
  bool transpose_a, transpose_b;
  index_t m, n, k;
  float beta;
};

/// One slice after the other of memory that no cache holds.
template <class X>
class cold_memory {
 public:
  cold_memory() : all_(shape{index_t{1} << 27}) { fill(all_, 0.25F); }
  X next(const shape& extents) {
    if (used_ + extents.size() > all_.size()) used_ = 0;
    X made = all_.slice(used_, used_ + extents.size()).reshaped(extents);
    used_ += extents.size();
    return made;
  }

 private:
  X all_;
  index_t used_ = 0;
};

template <class X>
void run(benchmark::State& state, const shape_of_product& p) {
  static cold_memory<X> memory;
  X a(p.transpose_a ? shape{p.k, p.m} : shape{p.m, p.k});
  const shape b_extents = p.transpose_b ? shape{p.n, p.k} : shape{p.k, p.n}, c_extents{p.m, p.n};
  const bool gradient = p.transpose_a;  // then C is the weight's
  X warm(gradient ? b_extents : c_extents);
  fill(a, 0.5F);
  fill(warm, 0.25F);
  {  // a library may compile a kernel for a shape that it sees for the first time
    X cold = memory.next(gradient ? c_extents : b_extents);
    gemm(p.transpose_a, p.transpose_b, 1.0F, a, gradient ? warm : cold, p.beta, gradient ? cold : warm);
  }
  const double flops = 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
  std::vector<double> shares, seconds;
  for (auto _ : state) {
    const double peak = multiply_add_rate();
    X cold = memory.next(gradient ? c_extents : b_extents);
    X &b = gradient ? warm : cold, &c = gradient ? cold : warm;
    const auto begin = std::chrono::steady_clock::now();
    gemm(p.transpose_a, p.transpose_b, 1.0F, a, b, p.beta, c);
    seconds.push_back(seconds_since(begin));
    shares.push_back(flops / seconds.back() / peak);
    state.SetIterationTime(seconds.back());
  }
  const double time = median(seconds);
  state.counters["share_of_peak"] = median(shares);
  const double weights = static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k) * sizeof(float) /
                         static_cast<double>(gradient ? p.k : p.m);
  state.counters["weight_bytes_per_second"] = weights * (gradient && p.beta != 0 ? 2 : 1) / time;
}

template <class X>
void add(const std::string& name, const shape_of_product& p) {
  benchmark::RegisterBenchmark(name.c_str(), [p](benchmark::State& state) { run<X>(state, p); })
      ->UseManualTime()
      ->Iterations(p.m * p.n > 10'000'000 ? 15 : 60)
      ->Unit(benchmark::kMicrosecond);
}

/// The products of a linear layer y = x W^T, W [out, in].
template <class X>
void add_layer(const std::string& prefix, index_t tokens, index_t out, index_t in) {
  const std::string rest = "/weight:" + std::to_string(out) + "x" + std::to_string(in) + "/tokens:" + std::to_string(tokens);
  add<X>(prefix + "forward" + rest, {false, true, tokens, out, in, 0});
  add<X>(prefix + "input_gradient" + rest, {false, false, tokens, in, out, 0});
  add<X>(prefix + "weight_gradient" + rest, {true, false, out, in, tokens, 1});
}

template <class X>
void add_step(const std::string& prefix) {
  for (const index_t tokens : {100, 200, 410, 850})
    for (const auto& [out, in] : {std::array<index_t, 2>{576, 576}, {192, 576}, {1536, 576}, {576, 1536}}) add_layer<X>(prefix, tokens, out, in);
  for (const index_t tokens : {1, 8, 16, 60}) add_layer<X>(prefix, tokens, 49152, 576);
}

}  // namespace

int main(int argc, char** argv) {
  add_step<tensor<float>>("");
  add_step<tensor<float, bfloat16_host_storage<float>>>("bfloat16_");
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
