// One training step of each loss on a batch of world facts: seconds, the ratio to gradient difference, and peak memory.
// Peak memory is of the process: run a benchmark alone (--benchmark_filter=NAME$) to read its own.
#include <expunge/data/encode.hpp>
#include <expunge/data/fact_file.hpp>
#include <expunge/loss/ssiuu.hpp>
#include <expunge/model/language_model.hpp>
#include <expunge/tensor/host_storage.hpp>
#include <expunge/unlearn/trainer.hpp>

#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <iostream>
#include <vector>

using namespace expunge;
using X = tensor<float>;

namespace {

struct workload {
  model::language_model<X> smollm2;
  std::vector<nn::token_sequence> forget, retain;
  double parameter_bytes = 0;
};

workload load(const char* model_path, const char* facts_path, std::size_t batch) {
  workload w{model::load_language_model<X>(model_path), {}, {}};
  const auto facts = data::load_facts(facts_path);
  require(facts.size() >= 2 * batch, facts_path, ": ", facts.size(), " facts, the benchmark needs ", 2 * batch);
  const data::prompt_template form;
  for (std::size_t i = 0; i < 2 * batch; ++i)
    (i < batch ? w.forget : w.retain).push_back(data::encode(w.smollm2.tokenizer, form.fill(facts[i].question), facts[i].answer));
  for (const X& p : nn::parameters(w.smollm2.weights)) w.parameter_bytes += static_cast<double>(p.size()) * sizeof(float);
  return w;
}

double peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

/// Seconds of a step are the trainer's own, the first two left out: they fill the buffer pool and have no penalty.
template <class Loss>
void run(benchmark::State& state, workload& w, const Loss& policy, double& reference_seconds) {
  std::vector<double> seconds;
  for (auto _ : state) {
    const unlearn::trainer_settings settings{
        .batch = std::ssize(w.forget), .order = unlearn::order::given, .on_step = [&](const unlearn::step_report& r) {
          if (r.step > 2) seconds.push_back(r.seconds);
        }};
    unlearn::trainer(w.smollm2.weights, policy, optim::adamw{.learning_rate = 1e-9}, settings).run(w.forget, w.retain, unlearn::after_steps(9));
  }
  std::nth_element(seconds.begin(), seconds.begin() + std::ssize(seconds) / 2, seconds.end());
  const double median = seconds[seconds.size() / 2];
  if (reference_seconds == 0) reference_seconds = median;
  state.counters["step_seconds"] = median;
  state.counters["over_first"] = median / reference_seconds;
  state.counters["peak_over_4_copies"] = peak_memory() / (4 * w.parameter_bytes);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc != 4) {
    std::cerr << "usage: unlearning_step [--benchmark_...] MODEL FACTS.jsonl BATCH\n";
    return 2;
  }
  try {
    workload w = load(argv[1], argv[2], std::stoul(argv[3]));
    const loss::gradient_difference gd{};
    const loss::ssiuu_settings first{.lambda = 1e-3};
    const loss::ssiuu_settings exact{.lambda = 1e-3, .curvature = attribution::curvature::exact};
    double reference = 0;
    const auto add = [&](const char* name, const auto& policy) {
      benchmark::RegisterBenchmark(name, [&w, &reference, policy](benchmark::State& s) { run(s, w, policy, reference); })
          ->Iterations(1)
          ->Unit(benchmark::kSecond);
    };
    add("gradient_difference", gd);
    add("ssiuu_exact_neuron", loss::ssiuu_exact(1e-3, gd));
    add("ssiuu_first_order_parameter", loss::ssiuu<>{gd, first, {}});
    add("ssiuu_exact_parameter", loss::ssiuu<>{gd, exact, {}});
    benchmark::RunSpecifiedBenchmarks();
  } catch (const std::exception& e) {
    std::cerr << "unlearning_step: " << e.what() << '\n';
    return 2;
  }
}
