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

/// The facts once for each of their paraphrases, which are then the questions. Errors name file and fact, as those of load_facts.
template <class X>
fact_set paraphrased(const language_model<X>& m, const fact_set& set, const text_options& options) {
  fact_set out{set.file, {}, {}, {}, {}};
  const auto form = options.prompt();
  for (data::fact f : set.facts)
    for (const std::string& paraphrase : f.paraphrases) try {
        f.question = paraphrase;
        const auto choices = data::encode_choices(m.tokenizer, form, f);
        const auto answer = data::encode(m.tokenizer, form.fill(paraphrase), f.answer, options.end(m.end_token));
        std::vector<const nn::token_sequence*> all{&answer};
        for (const auto& c : choices) all.push_back(&c);
        static_cast<void>(m.weights.make_batch(all));  // refuses what is longer than the context
        out.facts.push_back(f);
        out.prompts.emplace_back(choices[0].tokens.begin(), choices[0].tokens.begin() + choices[0].answer_begin);
        out.answers.push_back(answer);
        if (!set.choices.empty()) out.choices.push_back(choices);
      } catch (const error& e) {
        fail(set.file.string(), ": fact '", f.id, "', asked as '", paraphrase, "': ", e.what());
      }
  return out;
}

template <class X>
void run_evaluate(const options& o) {
  static_cast<void>(output_file(o.known, {o.model, o.facts}));  // what cannot be written is refused before the work
  const auto m = model::load_language_model<X>(o.model);
  const fact_set set = load_facts(o.facts, m, o.text);
  const fact_set others = paraphrased(m, set, o.text);
  const scores s = evaluate(m, set);
  auto result = summary(s);
  if (!others.facts.empty()) {
    result["paraphrases"] = others.facts.size();
    if (s.has_choice()) result["paraphrase_multiple_choice_accuracy"] = metric::share(multiple_choice(m, others));
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
