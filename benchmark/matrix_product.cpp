// Matrix products of SmolLM2-135M's shapes, as a share of the machine's multiply-add peak, which is measured first.
#include <expunge/tensor/host_storage.hpp>
#include <expunge/tensor/math.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace expunge;
using X = tensor<float>;

namespace {

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// FLOP/s of all threads in a loop of multiply-adds that touches registers only: the best of several runs.
double measured_peak() {
  using batch = xsimd::batch<float>;
  constexpr index_t repeats = 20'000'000;
  constexpr std::size_t chains = 12;  // latency 4 x 2 units, and some to spare
  double best = 0;
  for (int run = 0; run < 5; ++run) {
    const auto threads = static_cast<index_t>(std::thread::hardware_concurrency());
    std::vector<float> sink(static_cast<std::size_t>(threads));
    const auto begin = std::chrono::steady_clock::now();
    parallel_blocks(threads, 1, [&](index_t from, index_t) {
      const batch factor(0.999999F), term(1e-6F);
      const batch sum = [&]<std::size_t... C>(std::index_sequence<C...>) {  // a pack, not a loop: each chain stays in a register
        std::array<batch, chains> chain{batch(static_cast<float>(C))...};
        for (index_t i = 0; i < repeats; ++i) ((chain[C] = xsimd::fma(chain[C], factor, term)), ...);
        return (chain[C] + ...);
      }(std::make_index_sequence<chains>{});
      sink[static_cast<std::size_t>(from)] = xsimd::hadd(sum);
    });
    benchmark::DoNotOptimize(sink.data());
    const double flops = 2.0 * chains * static_cast<double>(batch::size) * repeats * static_cast<double>(threads);
    best = std::max(best, flops / seconds_since(begin));
  }
  return best;
}

struct shape_of_product {
  const char* what;
  bool transpose_a, transpose_b;
  index_t m, n, k;
};

void run(benchmark::State& state, const shape_of_product& p, double peak) {
  X a(p.transpose_a ? shape{p.k, p.m} : shape{p.m, p.k}), b(p.transpose_b ? shape{p.n, p.k} : shape{p.k, p.n}), c(shape{p.m, p.n});
  fill(a, 0.5F);
  fill(b, 0.25F);
  fill(c, 0.0F);
  for (auto _ : state) {
    gemm(p.transpose_a, p.transpose_b, 1.0F, a, b, 0.0F, c);
    benchmark::DoNotOptimize(c.data());
  }
  const double flops = 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
  state.counters["share_of_peak"] = benchmark::Counter(flops / peak, benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace

int main(int argc, char** argv) {
  const double peak = measured_peak();
  std::printf("multiply-add peak: %.0f GFLOP/s on %d threads\n", peak * 1e-9, static_cast<int>(std::thread::hardware_concurrency()));
  for (const index_t tokens : {64, 256, 1024})
    for (const shape_of_product& p : {shape_of_product{"linear_576x576", false, true, tokens, 576, 576},
                                      {"linear_576x1536", false, true, tokens, 1536, 576},
                                      {"input_gradient_1536x576", false, false, tokens, 576, 1536},
                                      {"weight_gradient_1536x576", true, false, 1536, 576, tokens},
                                      {"vocabulary_49152", false, true, tokens, 49152, 576}})
      benchmark::RegisterBenchmark((std::string(p.what) + "/tokens:" + std::to_string(tokens)).c_str(),
                                   [p, peak](benchmark::State& state) { run(state, p, peak); })
          ->UseRealTime()
          ->Unit(benchmark::kMicrosecond);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
