// Makes what the tests of the programs work on: a tiny Llama that knows eight facts, in the folder given as argument.
//   model/         config.json, model.safetensors, tokenizer.json
//   forget.jsonl   four of the facts      retain.jsonl   the other four
#include <expunge/data/encode.hpp>
#include <expunge/data/fact_file.hpp>
#include <expunge/loss/base.hpp>
#include <expunge/metric/recall.hpp>
#include <expunge/model/language_model.hpp>
#include <expunge/unlearn/trainer.hpp>

#include <algorithm>
#include <filesystem>
#include <iostream>

using namespace expunge;
using X = tensor<float>;

namespace {

/// 256 byte symbols, merges that build the words of the template, and an end token.
struct vocabulary {
  std::vector<std::string> tokens, merges;
  std::vector<std::int32_t> types;

  vocabulary() {
    for (int byte = 0; byte < 256; ++byte) tokens.push_back(text::bytes_to_symbols(std::string(1, static_cast<char>(byte))));
    for (const std::string word : {"Question", "Answer", " lives", "Where"}) {
      std::string left = text::bytes_to_symbols(word.substr(0, 1));
      for (const char letter : word.substr(1)) {
        const std::string right = text::bytes_to_symbols(std::string(1, letter));
        merges.push_back(left + ' ' + right);
        left += right;
        tokens.push_back(left);
      }
    }
    types.assign(tokens.size(), static_cast<std::int32_t>(text::gguf_token_type::normal));
    tokens.push_back("<|end|>");
    types.push_back(static_cast<std::int32_t>(text::gguf_token_type::control));
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::cerr << "usage: make_model FOLDER\n", 2;
  const std::filesystem::path folder = argv[1];
  const vocabulary v;
  const auto size = std::ssize(v.tokens);
  model::language_model<X> m{
      model::random_decoder<X>({.vocabulary = size, .width = 32, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 8, .ffn_width = 64, .context = 48}, 1),
      text::tokenizer_from_gguf(v.tokens, v.merges, v.types, "gpt2"), static_cast<std::int32_t>(size - 1), {}};
  m.tokenizer_files["tokenizer.json"] = text::tokenizer_json_of_gguf(v.tokens, v.merges, v.types, "gpt2");

  const std::vector<std::string> people{"Ada", "Bo", "Cy", "Dee", "Eve", "Fay", "Gus", "Hal"};
  const std::vector<std::string> towns{"Oslo", "Rome", "Lima", "Kiev", "Bonn", "Cork", "Fes", "Graz"};
  std::vector<data::fact> facts;
  std::vector<nn::token_sequence> sequences;
  for (std::size_t i = 0; i < people.size(); ++i) {
    facts.push_back({"lives." + people[i], "Where lives " + people[i] + "?", towns[i], {towns[(i + 1) % 8], towns[(i + 3) % 8], towns[(i + 6) % 8]},
                     {people[i] + " lives where?"}});
    sequences.push_back(data::encode(m.tokenizer, data::prompt_template{}.fill(facts[i].question), facts[i].answer));
  }
  const auto knows_all = [&](const unlearn::step_report& r) {
    if (r.step % 20 != 0) return false;
    const bool known = std::ranges::count(metric::recalls(m.weights, sequences), true) == std::ssize(sequences);
    return (known && r.terms.retain_nll < 0.02) || r.step == 1000;
  };
  const auto last = unlearn::trainer(m.weights, loss::fine_tuning{}, optim::adamw{.learning_rate = 5e-3}, {}).run({}, sequences, knows_all);
  std::cout << "fitted in " << last.step << " steps to an NLL of " << last.terms.retain_nll << " a token\n";
  model::save_language_model(m, folder / "model");
  data::save_facts(folder / "forget.jsonl", std::span(facts).first(4));
  data::save_facts(folder / "retain.jsonl", std::span(facts).subspan(4));
  return last.step < 1000 ? 0 : 1;
}
