#include "program.hpp"

#include <expunge/attribution/influence.hpp>
#include <expunge/report/table.hpp>

#include <iostream>
#include <memory>
#include <tuple>

using namespace expunge;

namespace program {

namespace {

using variation = attribution::influence_variation;

/// Cumulative sums of a kind over the neurons in decreasing order, at up to 200 points.
nlohmann::ordered_json cumulative(const variation& v, double variation::neuron::*kind) {
  const auto values = v.sorted(kind);
  nlohmann::ordered_json m = nlohmann::ordered_json::array(), sums = m;
  double total = 0;
  const std::size_t every = std::max<std::size_t>(1, (values.size() + 199) / 200);
  for (std::size_t i = 0; i < values.size(); ++i) {
    total += values[i];
    if ((i + 1) % every == 0 || i + 1 == values.size()) m.push_back(i + 1), sums.push_back(total);
  }
  return {{"m", m}, {"sum", sums}};
}

template <class X>
nlohmann::ordered_json audited(const language_model<X>& before, const language_model<X>& after, const sequences& forget, attribution::measured what) {
  const std::span<const nn::token_sequence> examples(forget);
  show_progress("attributions of the first model");
  const auto first = attribution::influences(before.weights, examples, what);
  show_progress("attributions of the second model");
  const auto second = attribution::influences(after.weights, examples, what);
  show_progress("attributions done", true);
  const variation v = attribution::variation(first, second);
  constexpr auto plus = &variation::neuron::decrease_of_positive, minus = &variation::neuron::increase_of_negative;
  nlohmann::ordered_json out{{"neurons", v.neurons.size()}, {"d_plus_sum", v.top(plus, v.neurons.size())}, {"d_minus_sum", v.top(minus, v.neurons.size())}};
  for (const std::size_t m : {10U, 100U, 1000U}) out["top"][std::to_string(m)] = {{"d_plus", v.top(plus, m)}, {"d_minus", v.top(minus, m)}};
  for (const auto& site : first) {
    const index_t n = std::min<index_t>(100, site.neurons);
    const auto mean_of_top = [&](double variation::neuron::*kind) { return v.top(kind, static_cast<std::size_t>(n), site.where) / static_cast<double>(n); };
    out["sites"].push_back({{"layer", site.where.block}, {"module", nn::module_names[static_cast<std::size_t>(site.where.module)]},
                            {"d_plus", mean_of_top(plus)}, {"d_minus", mean_of_top(minus)}});
  }
  out["cumulative"] = {{"d_plus", cumulative(v, plus)}, {"d_minus", cumulative(v, minus)}};
  return out;
}

struct options {
  std::string before, after, forget, json;
  text_options text;
};

template <class X>
void run_audit(const options& o) {
  const auto before = model::load_language_model<X>(o.before), after = model::load_language_model<X>(o.after);
  const auto shape_of = [](const model::decoder_config& c) {
    return std::tuple{c.family, c.layers, c.width, c.heads, c.kv_heads, c.head_dim, c.ffn_width, c.vocabulary, c.rotary_base, c.scaling};
  };
  require(shape_of(before.weights.config) == shape_of(after.weights.config), o.before, " and ", o.after,
          ": models of another kind or shape; --after is what unlearning made of --before");
  const fact_set forget = load_facts(o.forget, before, o.text);
  const fact_set of_after = load_facts(o.forget, after, o.text);
  for (std::size_t i = 0; i < forget.answers.size(); ++i)
    require(forget.answers[i].tokens == of_after.answers[i].tokens, o.before, " and ", o.after, ": their tokenizers cut the fact '",
            forget.facts[i].id, "' differently; --after is what unlearning made of --before");
  std::optional<io::atomic_file> file = output_file(o.json, {o.forget, o.before, o.after});
  nlohmann::ordered_json out;
  out["probability"] = audited(before, after, forget.answers, attribution::measured::probability);
  out["log_probability"] = audited(before, after, forget.answers, attribution::measured::log_probability);
  const scores known = evaluate(before, forget);
  note_vanishing(o.forget, known.joint_probability, "read the attributions of log_probability");
  out["before"] = summary(known);
  out["after"] = summary(evaluate(after, forget));
  report::table t({"attribution of", "D+ top 100", "D- top 100", "D+ sum", "D- sum"});
  for (const char* kind : {"probability", "log_probability"}) {
    const auto& a = out[kind];
    t.add({kind, report::fixed(a["top"]["100"]["d_plus"], 4), report::fixed(a["top"]["100"]["d_minus"], 4),
           report::fixed(a["d_plus_sum"], 4), report::fixed(a["d_minus_sum"], 4)});
  }
  std::cout << t;
  if (!file) return;
  file->write(out.dump(2) + "\n");
  file->commit();
}

}  // namespace

void add_audit(CLI::App& app, action& run) {
  const auto o = std::make_shared<options>();
  CLI::App* c = app.add_subcommand("audit", "erased or hidden: decrease of positive (D+) and increase of negative influence (D-)");
  c->add_option("--before", o->before, "model before unlearning")->required();
  c->add_option("--after", o->after, "model after unlearning")->required();
  c->add_option("--forget", o->forget, "JSONL of the forgotten facts: " + std::string(data::facts_format))->required();
  c->add_option("--json", o->json, "file for sums, top-m, layers and modules, cumulative curves");
  o->text.add_to(*c);
  c->callback([o, &run] {
    run = [o] { on_device(o->text.device, [&]<class X>() { run_audit<X>(*o); }); };
  });
}

}  // namespace program
