// One training step of each loss on a batch of facts: seconds, the ratio to the first benchmark that ran, the share of a
// measured peak, and peak memory. Peak memory is of the process: run a benchmark alone (--benchmark_filter=^NAME/) to read its own.
// benchmark/peers/run.py compares with PyTorch.
#include "step_workload.hpp"

#include <expunge/loss/ssiuu.hpp>
#include <expunge/metric/likelihood.hpp>
#include <expunge/model/generate.hpp>
#include <expunge/unlearn/trainer.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <functional>
#include <iostream>
#include <numeric>

using namespace expunge;
using namespace step_benchmark;

namespace {

template <class X>
void report_use(benchmark::State& state, const model::decoder<X>& m) {
  double parameters = 0;
  for (const X& p : nn::parameters(m)) parameters += static_cast<double>(p.size());
  state.counters["threads"] = static_cast<double>(thread_pool::instance().threads());
  state.counters["peak_bytes"] = peak_memory<X>();
  state.counters["peak_over_4_copies"] = peak_memory<X>() / (4 * parameters * sizeof(float));
#ifdef EXPUNGE_WITH_CUDA
  if constexpr (program::on_cuda<X>) state.counters["in_graphs"] = static_cast<double>(cuda::describe_graphs().in_graphs);
#endif
}

/// How a step runs.
struct step_form {
  bool shares_beginnings = false, checkpoint = false;
};

/// Seconds of a step are the trainer's own, the first two left out: they fill the buffer pool and have no penalty. With graphs the first
/// ten: an exact step is made of graphs from the sixth on.
template <class X, class Loss>
void train(benchmark::State& state, const settings& s, const Loss& policy, step_cost cost, step_form form, double& reference_seconds) {
  auto lm = model::load_language_model<X>(s.model);
  lm.weights.checkpoint = form.checkpoint;
  lm.weights.share_beginnings = form.shares_beginnings;
  const workload w = encode(lm.tokenizer, s);
  std::vector<double> seconds;
  const index_t left_out = s.graphs ? 10 : 2;
  forget_peak();
  for (auto _ : state) {
    const unlearn::trainer_settings settings{
        .batch = std::ssize(w.forget), .order = unlearn::order::given, .on_step = [&](const unlearn::step_report& r) {
          if (r.step > left_out) return seconds.push_back(r.seconds);
          if (r.step > 2) return;
          const std::string at = "_" + std::to_string(r.step);
          state.counters["forget" + at] = r.terms.forget;
          state.counters["retain" + at] = r.terms.retain;
          state.counters["penalty" + at] = r.terms.penalty;
          state.counters["gradient_norm" + at] = r.gradient_norm;
        }};
    unlearn::trainer(lm.weights, policy, optim::adamw{.learning_rate = 1e-5}, settings).run(w.forget, w.retain, unlearn::after_steps(left_out + 5));
  }
  const double step = median(seconds);
  if (reference_seconds == 0) reference_seconds = step;
  report_use(state, lm.weights);
  const auto& c = lm.weights.config;
  const double operations = cost.forget * forward_operations(c, w.forget) + cost.retain * forward_operations(c, w.retain);
  const double peak = measured_peak<X>();
  state.counters["seconds"] = step;
  state.counters["over_first"] = step / reference_seconds;
  state.counters["operations"] = operations;
  state.counters["peak_operations_a_second"] = peak;
  state.counters["share_of_peak"] = operations / step / peak;
}

/// The seconds of work(), the median of three passes behind one that is left out.
template <class F>
void time_passes(benchmark::State& state, const F& work) {
  std::vector<double> seconds;
  forget_peak();
  for (auto _ : state)
    for (int pass = 0; pass < 4; ++pass) {
      const auto begin = std::chrono::steady_clock::now();
      work();
      if (pass > 0) seconds.push_back(measured::seconds_since(begin));
    }
  state.counters["seconds"] = median(seconds);
}

/// From the files to the logits behind the first question, once: what a program waits for when it begins.
template <class X>
void load(benchmark::State& state, const settings& s) {
  for (auto _ : state) {
    const auto begin = std::chrono::steady_clock::now();
    const auto lm = model::load_language_model<X>(s.model);
    const workload w = encode(lm.tokenizer, s);
    const std::array first{&w.forget.front()};
    const auto logits = lm.weights.logits(lm.weights.make_batch(first)).to_vector();
    state.counters["seconds"] = measured::seconds_since(begin);
    state.counters["largest_logit"] = static_cast<double>(std::ranges::max(logits));
  }
}

/// Multiple choice by likelihood over all choices, 32 sequences at a time.
template <class X>
void evaluate(benchmark::State& state, const settings& s) {
  const auto lm = model::load_language_model<X>(s.model);
  const workload w = encode(lm.tokenizer, s);
  std::vector<nn::token_sequence> all;
  for (const auto& c : w.choices) all.insert(all.end(), c.begin(), c.end());
  time_passes(state, [&] {
    const auto likelihoods = metric::likelihoods(lm.weights, std::span<const nn::token_sequence>(all));
    double right = 0;
    auto at = likelihoods.begin();
    for (const auto& c : w.choices) {
      right += metric::chooses_right({at, c.size()});
      at += std::ssize(c);
    }
    state.counters["accuracy"] = right / static_cast<double>(w.choices.size());
    state.counters["nll"] = std::transform_reduce(likelihoods.begin(), likelihoods.end(), 0.0, std::plus{}, [](const auto& l) { return l.nll; });
  });
  report_use(state, lm.weights);
}

/// 32 greedy tokens for each of the 2 x batch questions.
template <class X>
void generate(benchmark::State& state, const settings& s) {
  const auto lm = model::load_language_model<X>(s.model);
  const workload w = encode(lm.tokenizer, s);
  std::vector<std::vector<std::int32_t>> prompts;
  for (const auto& c : w.choices) prompts.emplace_back(c[0].tokens.begin(), c[0].tokens.begin() + c[0].answer_begin);
  time_passes(state, [&] {
    double sum = 0;
    for (const auto& ids : model::generate(lm.weights, std::span<const std::vector<std::int32_t>>(prompts), 32))
      sum = std::accumulate(ids.begin(), ids.end(), sum);
    state.counters["sum_of_ids"] = sum;
  });
  report_use(state, lm.weights);
}

/// Every benchmark on tensors X, with a prefix to its name.
template <class X>
void add(const std::string& prefix, const settings& s, double& reference) {
  const auto once = [&](const std::string& name, auto work) {
    benchmark::RegisterBenchmark((prefix + name).c_str(), [work](benchmark::State& state) {
      try {
        work(state);
      } catch (const std::exception& e) {
        state.SkipWithError(e.what());
      }
    })->Iterations(1)->Unit(benchmark::kSecond);
  };
  const auto step = [&](const std::string& name, const auto& policy, step_cost cost, step_form form = {}) {
    once(name, [&s, &reference, policy, cost, form](benchmark::State& state) { train<X>(state, s, policy, cost, form, reference); });
  };
  const loss::gradient_difference gd{};
  const double lambda = 1e-2;
  for (const bool shared : {false, true}) {  // with shared beginnings the shares of the peak are of the products of all rows, too
    if (shared && converting_storage<typename X::storage_type>) continue;
    const std::string of = shared ? "shared_" : "";
    step(of + "gradient_difference", gd, {3, 3}, {shared});
    step(of + "ssiuu_exact_neuron", loss::ssiuu_exact(lambda, gd), {6, 3}, {shared});
    step(of + "ssiuu_first_order_parameter", loss::ssiuu<>{gd, {.lambda = lambda}, {}}, {4, 3}, {shared});
    step(of + "ssiuu_exact_parameter", loss::ssiuu<>{gd, {.lambda = lambda, .curvature = attribution::curvature::exact}, {}}, {9, 3}, {shared});
  }
  step("gradient_difference_checkpointed", gd, {4, 4}, {false, true});
  once("loading", [&s](benchmark::State& state) { load<X>(state, s); });
  once("evaluation", [&s](benchmark::State& state) { evaluate<X>(state, s); });
  once("generation", [&s](benchmark::State& state) { generate<X>(state, s); });
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc < 4 || argc > 7 || (argc == 7 && argv[6] != std::string("graphs"))) {
    std::cerr << "usage: unlearning_step [--benchmark_...] MODEL FACTS.jsonl BATCH [cpu|cuda[:N] [TOKENS [graphs]]]\n";
    return 2;
  }
  try {
    const settings s{argv[1], argv[2], static_cast<std::size_t>(number("BATCH", argv[3], 1)), argc > 4 ? argv[4] : "cpu",
                     argc > 5 ? number("TOKENS", argv[5], 0) : 0, argc > 6};
    static_cast<void>(model::read_decoder_config(s.model));  // bad input ends the program; what has no room ends a benchmark
    static_cast<void>(facts_of(s));
    double reference = 0;
    for (const std::string products : {"float", "bf16"})
      program::on_device({s.device, products, s.graphs}, [&]<class X>() { add<X>(products == "bf16" ? "bfloat16_" : "", s, reference); });
    benchmark::RunSpecifiedBenchmarks();
  } catch (const std::exception& e) {
    std::cerr << "unlearning_step: " << e.what() << '\n';
    return 2;
  }
}
