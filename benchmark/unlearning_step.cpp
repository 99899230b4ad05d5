// One training step of each loss on a batch of world facts: seconds, the ratio to gradient difference, and peak memory.
// Peak memory is of the process, and the first two steps' values are those of the loaded weights in the first benchmark only:
// run a benchmark alone (--benchmark_filter=^NAME/) to read its own. benchmark/peers/run.py compares both with PyTorch's.
#include <expunge/data/encode.hpp>
#include <expunge/data/fact_file.hpp>
#include <expunge/loss/ssiuu.hpp>
#include <expunge/metric/likelihood.hpp>
#include <expunge/model/generate.hpp>
#include <expunge/model/language_model.hpp>
#include <expunge/tensor/bfloat16_host_storage.hpp>
#include <expunge/tensor/host_storage.hpp>
#include <expunge/unlearn/trainer.hpp>

#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <numeric>
#include <string>
#include <vector>

using namespace expunge;
using X = tensor<float>;
using rounded = tensor<float, bfloat16_host_storage<float>>;  // products of operands rounded to bf16

namespace {

struct workload {
  std::string path;
  model::language_model<X> smollm2;
  std::vector<nn::token_sequence> forget, retain;
  std::vector<std::vector<nn::token_sequence>> choices;  // of the first 2 x batch facts
  double parameter_bytes = 0;
};

workload load(const char* model_path, const char* facts_path, std::size_t batch) {
  workload w{model_path, model::load_language_model<X>(model_path), {}, {}, {}};
  const auto facts = data::load_facts(facts_path);
  require(facts.size() >= 2 * batch, facts_path, ": ", facts.size(), " facts, the benchmark needs ", 2 * batch);
  const data::prompt_template form;
  for (std::size_t i = 0; i < 2 * batch; ++i) {
    w.choices.push_back(data::encode_choices(w.smollm2.tokenizer, form, facts[i]));
    (i < batch ? w.forget : w.retain).push_back(w.choices.back().front());
  }
  for (const X& p : nn::parameters(w.smollm2.weights)) w.parameter_bytes += static_cast<double>(p.size()) * sizeof(float);
  return w;
}

double peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void report_memory(benchmark::State& state, const workload& w) {
  state.counters["peak_bytes"] = peak_memory();
  state.counters["peak_over_4_copies"] = peak_memory() / (4 * w.parameter_bytes);
}

/// Seconds of a step are the trainer's own, the first two left out: they fill the buffer pool and have no penalty.
template <class M, class Loss>
void run(benchmark::State& state, M& m, const workload& w, const Loss& policy, double& reference_seconds) {
  std::vector<double> seconds;
  for (auto _ : state) {
    const unlearn::trainer_settings settings{
        .batch = std::ssize(w.forget), .order = unlearn::order::given, .on_step = [&](const unlearn::step_report& r) {
          if (r.step > 2) return seconds.push_back(r.seconds);
          const std::string at = "_" + std::to_string(r.step);
          state.counters["forget" + at] = r.terms.forget;
          state.counters["retain" + at] = r.terms.retain;
          state.counters["penalty" + at] = r.terms.penalty;
          state.counters["gradient_norm" + at] = r.gradient_norm;
        }};
    unlearn::trainer(m, policy, optim::adamw{.learning_rate = 1e-5}, settings).run(w.forget, w.retain, unlearn::after_steps(7));
  }
  const double step = median(seconds);
  if (reference_seconds == 0) reference_seconds = step;
  state.counters["seconds"] = step;
  state.counters["over_first"] = step / reference_seconds;
  report_memory(state, w);
}

/// Multiple choice by likelihood over all choices, 32 sequences at a time; the first pass is left out.
void evaluate(benchmark::State& state, workload& w) {
  std::vector<nn::token_sequence> all;
  for (const auto& c : w.choices) all.insert(all.end(), c.begin(), c.end());
  std::vector<double> seconds;
  for (auto _ : state)
    for (int pass = 0; pass < 4; ++pass) {
      const auto begin = std::chrono::steady_clock::now();
      const auto likelihoods = metric::likelihoods(w.smollm2.weights, std::span<const nn::token_sequence>(all));
      double right = 0;
      auto at = likelihoods.begin();
      for (const auto& c : w.choices) {
        right += metric::chooses_right({at, c.size()});
        at += std::ssize(c);
      }
      if (pass > 0) seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
      state.counters["accuracy"] = right / static_cast<double>(w.choices.size());
      state.counters["nll"] = std::transform_reduce(likelihoods.begin(), likelihoods.end(), 0.0, std::plus{}, [](const auto& l) { return l.nll; });
    }
  state.counters["seconds"] = median(seconds);
  report_memory(state, w);
}

/// 32 greedy tokens for each of the 2 x batch questions; the first pass is left out.
void generate(benchmark::State& state, workload& w) {
  std::vector<std::vector<std::int32_t>> prompts;
  for (const auto& c : w.choices) prompts.emplace_back(c[0].tokens.begin(), c[0].tokens.begin() + c[0].answer_begin);
  std::vector<double> seconds;
  for (auto _ : state)
    for (int pass = 0; pass < 4; ++pass) {
      const auto begin = std::chrono::steady_clock::now();
      const auto made = model::generate(w.smollm2.weights, std::span<const std::vector<std::int32_t>>(prompts), 32);
      if (pass > 0) seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
      double sum = 0;
      for (const auto& ids : made) sum = std::accumulate(ids.begin(), ids.end(), sum);
      state.counters["sum_of_ids"] = sum;
    }
  state.counters["seconds"] = median(seconds);
  report_memory(state, w);
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
    const double lambda = 1e-2;
    const loss::ssiuu_settings first{.lambda = lambda};
    const loss::ssiuu_settings exact{.lambda = lambda, .curvature = attribution::curvature::exact};
    double reference = 0;
    const auto add = [&](const char* name, const auto& policy) {
      benchmark::RegisterBenchmark(name, [&w, &reference, policy](benchmark::State& s) { run(s, w.smollm2.weights, w, policy, reference); })
          ->Iterations(1)
          ->Unit(benchmark::kSecond);
    };
    add("gradient_difference", gd);
    add("ssiuu_exact_neuron", loss::ssiuu_exact(lambda, gd));
    add("ssiuu_first_order_parameter", loss::ssiuu<>{gd, first, {}});
    add("ssiuu_exact_parameter", loss::ssiuu<>{gd, exact, {}});
    benchmark::RegisterBenchmark("gradient_difference_checkpointed", [&](benchmark::State& s) {
      w.smollm2.weights.checkpoint = true;
      run(s, w.smollm2.weights, w, gd, reference);
      w.smollm2.weights.checkpoint = false;
    })->Iterations(1)->Unit(benchmark::kSecond);
    const auto with_rounded = [&](const char* name, const auto& policy) {
      benchmark::RegisterBenchmark(name, [&w, &reference, policy](benchmark::State& s) {
        w.smollm2.weights = {};
        auto m = model::load_language_model<rounded>(w.path);
        run(s, m.weights, w, policy, reference);
        w.smollm2.weights = model::load_language_model<X>(w.path).weights;
      })->Iterations(1)->Unit(benchmark::kSecond);
    };
    with_rounded("bfloat16_gradient_difference", gd);
    with_rounded("bfloat16_ssiuu_exact_neuron", loss::ssiuu_exact(lambda, gd));
    benchmark::RegisterBenchmark("evaluation", [&w](benchmark::State& s) { evaluate(s, w); })->Iterations(1)->Unit(benchmark::kSecond);
    benchmark::RegisterBenchmark("generation", [&w](benchmark::State& s) { generate(s, w); })->Iterations(1)->Unit(benchmark::kSecond);
    benchmark::RunSpecifiedBenchmarks();
  } catch (const std::exception& e) {
    std::cerr << "unlearning_step: " << e.what() << '\n';
    return 2;
  }
}
