#include "program.hpp"

#include <expunge/metric/recall.hpp>
#include <expunge/report/table.hpp>

#include <iostream>
#include <memory>

using namespace expunge;

namespace program {

namespace {

struct options {
  std::string model, facts, known;
  text_options text;
  bool json = false;
};

/// The facts once for each of their paraphrases, which are then the questions.
std::vector<data::fact> paraphrased(const std::vector<data::fact>& facts) {
  std::vector<data::fact> out;
  for (data::fact f : facts)
    for (const std::string id = f.id; const std::string& paraphrase : f.paraphrases) {
      f.question = paraphrase;
      f.id = id + "' asked as '" + paraphrase;  // for messages
      out.push_back(f);
    }
  return out;
}

template <class X>
void run_evaluate(const options& o) {
  static_cast<void>(output_file(o.known, {o.model, o.facts}));  // what cannot be written is refused before the work
  const auto m = model::load_language_model<X>(o.model);
  const fact_set set = load_facts(o.facts, m, o.text);
  note_missing_choices(set);
  const fact_set others = encode_facts(set.file, paraphrased(set.facts), m, o.text);
  const scores s = evaluate(m, set);
  auto result = summary(s);
  if (!others.facts.empty()) {
    result["paraphrases"] = others.facts.size();
    if (!others.choices.empty()) result["paraphrase_multiple_choice_accuracy"] = metric::share(multiple_choice(m, others));
    result["paraphrase_generation_accuracy"] = metric::share(generated(m, others));
  }
  if (o.json) {
    for (std::size_t i = 0; i < set.facts.size(); ++i) {
      auto& one = result["by_fact"][set.facts[i].id];
      if (s.has_choice()) one["choice"] = bool{s.choice[i]};
      one["generation"] = bool{s.generation[i]};
      one["probability"] = s.probability[i];
    }
    std::cout << result.dump(2) << '\n';
  } else {
    report::table t({"measure", "value"});
    for (const auto& [name, value] : result.items())
      t.add({name, value.is_null() ? "-" : value.is_number_integer() ? value.dump() : report::fixed(value.template get<double>(), 4)});
    std::cout << t;
  }
  if (o.known.empty()) return;
  std::vector<data::fact> known;
  for (std::size_t i = 0; i < set.facts.size(); ++i)
    if (s.generation[i] && (!s.has_choice() || s.choice[i])) known.push_back(set.facts[i]);
  require(!known.empty(), o.facts, ": the model answers none of the facts right, ", o.known, " is not written");
  data::save_facts(o.known, known);
}

}  // namespace

void add_evaluate(CLI::App& app, action& run) {
  const auto o = std::make_shared<options>();
  CLI::App* c = app.add_subcommand("evaluate", "accuracy by multiple choice and by generation, also of paraphrased questions, and probability of the answers");
  c->add_option("--model", o->model, "Hugging Face folder or GGUF file")->required();
  c->add_option("--facts", o->facts, "JSONL of facts: " + std::string(data::facts_format))->required();
  c->add_flag("--json", o->json, "print JSON");
  c->add_option("--known", o->known, "write the facts answered right, by generation and (where they have false answers) by choice, to this JSONL");
  o->text.add_to(*c);
  c->callback([o, &run] {
    run = [o] { on_device(o->text.device, [&]<class X>() { run_evaluate<X>(*o); }); };
  });
}

}  // namespace program
