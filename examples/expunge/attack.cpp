#include "program.hpp"

#include <expunge/attack/harmful_retraining.hpp>
#include <expunge/metric/likelihood.hpp>
#include <expunge/metric/recall.hpp>
#include <expunge/report/table.hpp>

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>

using namespace expunge;

namespace program {

namespace {

struct options {
  std::string model, forget, json, optimizer = "adamw";
  double fraction = 0.1;
  std::vector<double> rates{1e-5, 5e-6, 1e-6};
  index_t seeds = 3, epochs = 20, batch = 8;
  text_options text;
};

template <class X>
void run_attack(const options& o) {
  auto m = model::load_language_model<X>(o.model);
  const fact_set forget = load_facts(o.forget, m, o.text);
  std::optional<io::atomic_file> file = output_file(o.json, {o.forget, o.model});
  // The attack works on token sequences; this finds a sequence's multiple-choice question again.
  std::map<std::vector<std::int32_t>, std::size_t> place;
  for (std::size_t i = 0; i < forget.answers.size(); ++i) {
    const auto [at, is_new] = place.emplace(forget.answers[i].tokens, i);
    require(is_new, o.forget, ": the facts '", forget.facts[at->second].id, "' and '", forget.facts[i].id,
            "' have the same text and answer, and what is retrained must not be measured: remove one");
  }
  using decoder = model::decoder<X>;
  const auto right = [&](const decoder& weights, std::span<const nn::token_sequence> examples) {
    if (forget.choices.empty()) return metric::recalls(weights, examples);
    std::vector<bool> out;
    for (const auto& e : examples)
      out.push_back(metric::chooses_right(metric::likelihoods(weights, std::span<const nn::token_sequence>(forget.choices[place.at(e.tokens)]))));
    return out;
  };
  const auto attacked = [&](auto optimizer) {
    const attack::harmful_retraining<decltype(optimizer)> harmful{
        .fraction = o.fraction, .learning_rates = o.rates, .epochs = o.epochs, .batch = o.batch, .seeds = o.seeds, .optimizer = optimizer,
        .progress = [&](const progress_event& e) {
          show_progress("attack " + std::to_string(e.done) + "/" + std::to_string(e.total), e.done == e.total);
        }};
    return harmful.template run<decoder>(m.weights, forget.answers, right);
  };
  const auto runs = o.optimizer == "sgd" ? attacked(optim::sgd{}) : attacked(optim::adamw{});
  std::vector<double> recoveries;
  nlohmann::ordered_json out{{"kind", "harmful"}, {"fraction", o.fraction}, {"accuracy", forget.choices.empty() ? "generation" : "multiple_choice"}};
  for (const auto& r : runs) {
    nlohmann::ordered_json ids = nlohmann::ordered_json::array();
    for (const index_t i : r.retrained) ids.push_back(forget.facts[static_cast<std::size_t>(i)].id);
    out["runs"].push_back({{"seed", r.seed}, {"learning_rate", r.learning_rate}, {"recovery", r.recovery}, {"retrained", ids}, {"curve", r.curve}});
    recoveries.push_back(r.recovery);
  }
  out["recovery_mean"] = metric::mean_of(recoveries);
  out["recovery_deviation"] = metric::deviation_of(recoveries);
  std::cout << "recovered of the disjoint rest: " << report::fixed(100 * metric::mean_of(recoveries), 1) << " % +- "
            << report::fixed(100 * metric::deviation_of(recoveries), 1) << " (" << runs.size() << " splits, largest over the attack)\n";
  if (!file) return;
  file->write(out.dump(2) + "\n");
  file->commit();
}

}  // namespace

void add_attack(CLI::App& app, action& run) {
  const auto o = std::make_shared<options>();
  CLI::App* c = app.add_subcommand("attack", "retrain on some forgotten facts: do the others come back?");
  c->add_option("--model", o->model, "Hugging Face folder or GGUF file")->required();
  c->add_option("--forget", o->forget, "JSONL of the forgotten facts")->required();
  c->add_option("--fraction", o->fraction, "of the wrongly answered facts to retrain on")
      ->capture_default_str()
      ->check(number(1e-9, 1 - 1e-9, "a number between 0 and 1"));
  c->add_option("--lr", o->rates, "learning rates to try")->capture_default_str()->check(positive());
  c->add_option("--seeds", o->seeds, "random splits")->capture_default_str()->check(whole(1));
  c->add_option("--epochs", o->epochs, "of retraining")->capture_default_str()->check(whole(1));
  c->add_option("--batch", o->batch, "examples a step")->capture_default_str()->check(whole(1));
  c->add_option("--optimizer", o->optimizer)->check(CLI::IsMember({"sgd", "adamw"}))->capture_default_str();
  c->add_option("--json", o->json, "file for the runs and their curves");
  o->text.add_to(*c);
  c->callback([o, &run] { run = [o] { on_device(o->text.device, [&]<class X>() { run_attack<X>(*o); }); }; });
}

}  // namespace program
