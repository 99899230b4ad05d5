// The kernels of a step beside matrix products, against their roofline: the time that their arithmetic needs at the measured peak of
// multiply-adds, or the bytes they touch at the rate of a plain copy that touches as many, whichever is longer. Shapes are those of
// SmolLM2-135M with 200 tokens. Parameter-sized arrays come from memory, activations from the cache that holds them, as
// in a step.
#include <expunge/autodiff/attention.hpp>
#include <expunge/autodiff/elementwise.hpp>
#include <expunge/autodiff/linear_cross_entropy.hpp>
#include <expunge/autodiff/norm.hpp>
#include <expunge/loss/functor.hpp>
#include <expunge/model/decoder_init.hpp>
#include <expunge/optim/functor.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "peak.hpp"

using namespace expunge;
using X = tensor<float>;

namespace {

constexpr index_t rows = 200, width = 576, heads = 9, kv_heads = 3, dim = 64, ffn = 1536, vocabulary = 49152, labels = 40;
constexpr index_t parameters = index_t{1} << 25;  // a quarter of the model's; no cache holds one array

X made(const shape& extents) {
  X x(extents);
  fill(x, 0.01F);
  return x;
}

struct kernel {
  std::string name;
  double bytes, flops;  // all arrays that it reads or writes, each once (a line is fetched to be written); an exponential counts 16
  std::function<void()> run;
};

/// Small arrays are gone through again and again, by the copy and by the kernel: both find them in the same caches.
index_t repeats_of(double bytes) { return std::max<index_t>(1, static_cast<index_t>((1 << 25) / bytes)); }

/// Bytes a second of a copy that touches `bytes`, half of them to read and half to write.
double copy_rate(double bytes) {
  const auto size = static_cast<index_t>(bytes / 2 / sizeof(float));
  const X from = made({size});
  X to = made({size});
  copy_into(to, from);
  const index_t repeats = repeats_of(bytes);
  const auto begin = std::chrono::steady_clock::now();
  for (index_t i = 0; i < repeats; ++i) copy_into(to, from);
  return bytes * static_cast<double>(repeats) / measured::seconds_since(begin);
}

void add(const kernel& k) {
  benchmark::RegisterBenchmark(k.name.c_str(), [k](benchmark::State& state) {
    std::vector<double> shares;
    k.run();
    bool by_memory = false;
    for (auto _ : state) {
      const double by_bytes = k.bytes / copy_rate(k.bytes), by_flops = k.flops / measured::multiply_add_rate();
      const index_t repeats = repeats_of(k.bytes);
      const auto begin = std::chrono::steady_clock::now();
      for (index_t i = 0; i < repeats; ++i) k.run();
      const double seconds = measured::seconds_since(begin) / static_cast<double>(repeats);
      by_memory = by_bytes > by_flops;
      shares.push_back(std::max(by_bytes, by_flops) / seconds);
      state.SetIterationTime(seconds);
    }
    state.counters["share_of_roofline"] = measured::median(shares);
    state.counters["flops_per_byte"] = k.flops / k.bytes;
    state.SetLabel(by_memory ? "bound by memory" : "bound by arithmetic");
  })->UseManualTime()->Iterations(k.bytes > 1e8 ? 15 : 50)->Unit(benchmark::kMicrosecond);
}

/// The four functions of a rule: each array once, `flops` an element of the output for each.
template <class Rule, class... In>
void add_rule(const std::string& name, const Rule& fresh, double flops, index_t saved, const In&... in) {
  auto rule = std::make_shared<Rule>(fresh);
  const X y = rule->forward(in...);
  const double out = static_cast<double>(y.size()), all = static_cast<double>((in.size() + ... + 0)), kept = static_cast<double>(saved);
  rule->pushforward(in...);
  const auto slots = [](auto& bars, const auto& f) { std::apply([&](auto&... bar) { f(cotangent_slot<X>(&bar)...); }, bars); };
  const std::tuple none{cotangent<X>{.wanted = !in.absent()}...};
  add({name + "/forward", 4 * (all + out), flops * out, [=] { Rule again = *rule; again.forward(in...); }});
  add({name + "/pullback", 4 * (all + kept + out + all), 2 * flops * out, [=] { auto b = none; slots(b, [&](auto... s) { rule->pullback(y, s...); }); }});
  add({name + "/pushforward", 4 * (2 * all + kept + out), 2 * flops * out, [=] { rule->pushforward(in...); }});
  add({name + "/pullback_tangent", 4 * (2 * all + kept + 2 * out + all), 5 * flops * out,
       [=] { auto b = none; slots(b, [&](auto... s) { rule->pullback_tangent(in..., y, y, s...); }); }});
}

}  // namespace

int main(int argc, char** argv) {
  const X p = made({parameters}), g = made({parameters});
  auto w = made({parameters}), m = made({parameters}), v = made({parameters}), previous = made({parameters});
  const double n = static_cast<double>(parameters);
  add({"adamw", 4 * 4 * n, 12 * n, [=]() mutable { map_in_place(functor::adamw<float>{1, 1, .9F, .999F, .1F, .001F, 1e-5F, 1, 1e-8F}, w, m, v, g); }});
  add({"gradient_norm", 4 * n, 2 * n, [=] { inner_product(g, g); }});
  add({"parameter_penalty", 4 * 4 * n, 10 * n, [=]() mutable {
         auto sum = zeros<device_sum<X>>(shape{1});
         add_map_sum(sum, 1, functor::parameter_penalty<float>{false, 1e-3F}, previous, w, g, p);
       }});

  std::vector<std::int32_t> answers;
  for (index_t r = 0; r < labels; ++r) answers.push_back(static_cast<std::int32_t>(1000 * r));
  const auto indices = [](const std::vector<std::int32_t>& of) { return X::index_tensor(shape{std::ssize(of)}, of); };
  add_rule("swiglu", detail::gated_rule<function::silu, X>{}, 20, 0, made({rows, ffn}), made({rows, ffn}));
  add_rule("rms_norm", detail::norm_rule<X, false>{1e-5F}, 5, rows, made({rows, width}), made({width}), X{});
  for (const index_t length : {12, 64, 200, 1000}) {  // tokens of an example; about 200 rows where they allow it
    const index_t count = std::max<index_t>(1, rows / length), all = count * length;
    std::vector<std::int32_t> begins;
    for (index_t e = 0; e <= count; ++e) begins.push_back(static_cast<std::int32_t>(e * length));
    const double pairs = static_cast<double>(length + 1) / 2;  // keys that a query sees, on average
    add_rule("attention_" + std::to_string(length), detail::attention_rule<X>{{count, heads, kv_heads, dim, all}, 0.125F, indices(begins)},
             4 * pairs + 16 * pairs / dim, all * (width + heads), made({all, width}), made({all, kv_heads * dim}), made({all, kv_heads * dim}));
  }
  add_rule("cross_entropy", detail::cross_entropy_rule<X>{{indices(answers)}, {}}, 18.0 * vocabulary, 0, made({labels, vocabulary}));

  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
