#include "program.hpp"

#include <expunge/attack/benign_retraining.hpp>
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
  std::string model, forget, train, json, optimizer = "adamw";
  double fraction = 0.1;
  std::vector<double> rates;
  index_t seeds = 3, epochs = 20, batch = 8;
  text_options text;
};

template <class X>
void run_attack(const options& o) {
  auto m = model::load_language_model<X>(o.model);
  const fact_set forget = load_facts(o.forget, m, o.text);
  const bool benign = !o.train.empty();
  const fact_set other = benign ? load_facts(o.train, m, o.text) : fact_set{};
  require_disjoint(forget, other, "data to retrain on");
  std::optional<io::atomic_file> file = output_file(o.json, {o.forget, o.train, o.model});
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
    const auto run = [&](auto attack, const auto&... sets) {
      if (!o.rates.empty()) attack.learning_rates = o.rates;
      attack.epochs = o.epochs, attack.batch = o.batch, attack.seeds = o.seeds, attack.optimizer = optimizer;
      attack.progress = [](const progress_event& e) { show_progress("attack " + std::to_string(e.done) + "/" + std::to_string(e.total), e.done == e.total); };
      return attack.template run<decoder>(m.weights, sets..., right);
    };
    return benign ? run(attack::benign_retraining<decltype(optimizer)>{}, other.answers, forget.answers)
                  : run(attack::harmful_retraining<decltype(optimizer)>{.fraction = o.fraction}, forget.answers);
  };
  const auto runs = o.optimizer == "sgd" ? attacked(optim::sgd{}) : attacked(optim::adamw{});
  std::vector<double> recoveries;
  nlohmann::ordered_json out{{"kind", benign ? "benign" : "harmful"}, {"accuracy", forget.choices.empty() ? "generation" : "multiple_choice"}};
  if (benign) out["before"] = metric::share(right(m.weights, forget.answers));
  else out["fraction"] = o.fraction;
  for (const auto& r : runs) {
    nlohmann::ordered_json ids = nlohmann::ordered_json::array();
    for (const index_t i : r.retrained) ids.push_back(forget.facts[static_cast<std::size_t>(i)].id);
    for (const data::fact& f : other.facts) ids.push_back(f.id);
    out["runs"].push_back({{"seed", r.seed}, {"learning_rate", r.learning_rate}, {"recovery", r.recovery}, {"retrained", ids}, {"curve", r.curve}});
    recoveries.push_back(r.recovery);
  }
  out["recovery_mean"] = metric::mean_of(recoveries);
  out["recovery_deviation"] = metric::deviation_of(recoveries);
  const auto percent = [](double share) { return report::fixed(100 * share, 1); };
  std::cout << (benign ? "right of all forgotten facts: " : "recovered of the disjoint rest: ") << percent(metric::mean_of(recoveries)) << " % +- "
            << percent(metric::deviation_of(recoveries)) << " (" << runs.size() << (benign ? " runs" : " splits") << ", largest over the attack";
  if (benign) std::cout << "; before: " << percent(out["before"].template get<double>()) << " %";
  std::cout << ")\n";
  if (!file) return;
  file->write(out.dump(2) + "\n");
  file->commit();
}

}  // namespace

void add_attack(CLI::App& app, action& run) {
  const auto o = std::make_shared<options>();
  CLI::App* c = app.add_subcommand("attack", "retrain on some forgotten facts, or on other data: do the others, or any, come back?");
  c->add_option("--model", o->model, "Hugging Face folder or GGUF file")->required();
  c->add_option("--forget", o->forget, "JSONL of the forgotten facts: " + std::string(data::facts_format))->required();
  auto* const fraction = c->add_option("--fraction", o->fraction, "of the wrongly answered facts to retrain on")
      ->capture_default_str()
      ->check(number(1e-9, 1 - 1e-9, "a number between 0 and 1"));
  c->add_option("--train", o->train, "JSONL of other facts to retrain on instead (the benign attack); all forgotten facts are then measured")
      ->excludes(fraction);
  c->add_option("--lr", o->rates, "learning rates to try [1e-05,5e-06,1e-06; with --train 1e-05,1e-06,1e-07]")->check(positive());
  c->add_option("--seeds", o->seeds, "random splits, or orders of the other facts")->capture_default_str()->check(whole(1));
  c->add_option("--epochs", o->epochs, "of retraining")->capture_default_str()->check(whole(1));
  c->add_option("--batch", o->batch, "examples a step")->capture_default_str()->check(whole(1));
  c->add_option("--optimizer", o->optimizer)->check(CLI::IsMember({"sgd", "adamw"}))->capture_default_str();
  c->add_option("--json", o->json, "file for the runs and their curves");
  o->text.add_to(*c);
  c->callback([o, &run] { run = [o] { on_device(o->text.device, [&]<class X>() { run_attack<X>(*o); }); }; });
}

}  // namespace program
