#include "program.hpp"

#include <expunge/report/table.hpp>

#include <iostream>
#include <memory>

using namespace expunge;

namespace program {

void add_evaluate(CLI::App& app, action& run) {
  struct options {
    std::string model, facts;
    text_options text;
    bool json = false;
  };
  const auto o = std::make_shared<options>();
  CLI::App* c = app.add_subcommand("evaluate", "accuracy by multiple choice and by generation, and probability of the answers");
  c->add_option("--model", o->model, "Hugging Face folder or GGUF file")->required();
  c->add_option("--facts", o->facts, "JSONL of facts")->required();
  c->add_flag("--json", o->json, "print JSON");
  o->text.add_to(*c);
  c->callback([o, &run] {
    run = [o] {
      const auto m = model::load_language_model<X>(o->model);
      const auto result = summary(evaluate(m, load_facts(o->facts, m, o->text)));
      if (o->json) {
        std::cout << result.dump(2) << '\n';
        return;
      }
      report::table t({"measure", "value"});
      for (const auto& [name, value] : result.items())
        t.add({name, value.is_null() ? "-" : value.is_number_integer() ? value.dump() : report::fixed(value.get<double>(), 4)});
      std::cout << t;
    };
  });
}

}  // namespace program
