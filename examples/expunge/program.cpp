#include "program.hpp"

#include <expunge/metric/likelihood.hpp>
#include <expunge/metric/recall.hpp>
#include <expunge/model/generate.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iomanip>
#include <iostream>

#include <unistd.h>

using namespace expunge;

namespace program {

void text_options::add_to(CLI::App& command) {
  command.add_option("--template", form, "text before the answer, with {question}; \\n is a line break")->capture_default_str();
  command.add_flag("--eos", eos, "the end token is part of the answer");
  command.add_option("--device", device.device, device_help)->capture_default_str();
  command.add_flag("--graphs", device.graphs, graphs_help);
  command.add_option("--products", device.products, products_help)->check(CLI::IsMember({"float", "bf16"}))->capture_default_str();
}

data::prompt_template text_options::prompt() const {
  std::string text;
  for (std::size_t i = 0; i < form.size(); ++i) {
    const bool line_break = form[i] == '\\' && i + 1 < form.size() && form[i + 1] == 'n';
    text += line_break ? '\n' : form[i];
    i += line_break ? 1 : 0;
  }
  require(text.find("{question}") != std::string::npos, "--template '", form, "' has no {question}");
  return {text};
}

std::optional<std::int32_t> text_options::end(std::optional<std::int32_t> token) const {
  if (!eos) return {};
  require(token.has_value(), "--eos: the model names no end token of its vocabulary (eos_token_id)");
  return token;
}

template <class X>
fact_set encode_facts(const std::filesystem::path& file, std::vector<data::fact> facts, const language_model<X>& m, const text_options& options) {
  fact_set set{file, std::move(facts), {}, {}, {}};
  const auto prompt = options.prompt();
  bool choices = true;
  for (const data::fact& f : set.facts) {
    try {
      set.answers.push_back(data::encode(m.tokenizer, prompt.fill(f.question), f.answer, options.end(m.end_token)));
      set.choices.push_back(data::encode_choices(m.tokenizer, prompt, f));
      std::vector<const nn::token_sequence*> all{&set.answers.back()};
      for (const auto& s : set.choices.back()) all.push_back(&s);
      static_cast<void>(m.weights.make_batch(all));  // refuses what is longer than the context
    } catch (const error& e) {
      fail(file.string(), ": fact '", f.id, "': ", e.what());
    }
    const auto& s = set.choices.back()[0];
    set.prompts.emplace_back(s.tokens.begin(), s.tokens.begin() + s.answer_begin);
    choices = choices && !f.false_answers.empty();
  }
  if (!choices) set.choices.clear();
  return set;
}

namespace {

/// Appends what `measure` says of `examples` to `out`, some at a time, with progress.
template <class Out, class Measure>
void in_parts(const char* what, std::span<const nn::token_sequence> examples, std::vector<Out>& out, const Measure& measure) {
  constexpr std::size_t part = 64;
  for (std::size_t begin = 0; begin < examples.size(); begin += part) {
    show_progress(what + (" " + std::to_string(begin)) + "/" + std::to_string(examples.size()));
    const auto some = measure(examples.subspan(begin, std::min(part, examples.size() - begin)));
    out.insert(out.end(), some.begin(), some.end());
  }
}

template <class X>
std::vector<metric::answer_likelihood> likelihoods(const char* what, const language_model<X>& m, const sequences& examples) {
  std::vector<metric::answer_likelihood> out;
  in_parts(what, examples, out, [&](auto some) { return metric::likelihoods(m.weights, some); });
  return out;
}

}  // namespace

template <class X>
std::vector<bool> multiple_choice(const language_model<X>& m, const fact_set& set) {
  sequences flat;
  for (const auto& c : set.choices) flat.insert(flat.end(), c.begin(), c.end());
  const auto of_answers = likelihoods("multiple choice", m, flat);
  std::vector<bool> out;
  std::size_t at = 0;
  for (const auto& c : set.choices) {
    out.push_back(metric::chooses_right(std::span(of_answers).subspan(at, c.size())));
    at += c.size();
  }
  return out;
}

template <class X>
std::vector<bool> generated(const language_model<X>& m, const fact_set& set) {
  // Greedy decoding begins with the answer exactly where every answer token is the most likely one.
  sequences plain;
  for (std::size_t i = 0; i < set.facts.size(); ++i) {
    nn::token_sequence s{set.prompts[i], std::ssize(set.prompts[i])};
    const auto& answer = set.answers[i];
    s.tokens.insert(s.tokens.end(), answer.tokens.begin() + answer.answer_begin, answer.tokens.end());
    plain.push_back(std::move(s));
  }
  std::vector<bool> out;
  in_parts("generation", plain, out, [&](auto some) { return metric::recalls(m.weights, some); });
  return out;
}

template <class X>
scores evaluate(const language_model<X>& m, const fact_set& set) {
  scores s{set.choices.empty() ? std::vector<bool>{} : multiple_choice(m, set), generated(m, set), {}, {}, {}};
  for (const auto& l : likelihoods("probability", m, set.answers)) {
    s.probability.push_back(l.probability());
    s.joint_probability.push_back(l.joint_probability());
    s.nll.push_back(l.per_token());
  }
  show_progress("evaluated", true);
  return s;
}

template fact_set encode_facts(const std::filesystem::path&, std::vector<data::fact>, const language_model<unmade_tensor>&, const text_options&);
#define PROGRAM_ON(X)                                                                                              \
  template fact_set encode_facts(const std::filesystem::path&, std::vector<data::fact>, const language_model<X>&, const text_options&);        \
  template std::vector<bool> multiple_choice(const language_model<X>&, const fact_set&);                            \
  template std::vector<bool> generated(const language_model<X>&, const fact_set&);                                  \
  template scores evaluate(const language_model<X>&, const fact_set&);
PROGRAM_ON(host_tensor)
PROGRAM_ON(rounding_host_tensor)
#ifdef EXPUNGE_WITH_CUDA
PROGRAM_ON(cuda_tensor)
PROGRAM_ON(rounding_cuda_tensor)
#endif

nlohmann::ordered_json summary(const scores& s) {
  nlohmann::ordered_json out;
  out["facts"] = s.nll.size();
  if (s.has_choice()) out["multiple_choice_accuracy"] = metric::share(s.choice);
  else out["multiple_choice_accuracy"] = nullptr;
  out["generation_accuracy"] = metric::share(s.generation);
  out["mean_probability"] = metric::mean_of(s.probability);
  out["mean_joint_probability"] = metric::mean_of(s.joint_probability);
  out["mean_nll"] = metric::mean_of(s.nll);
  return out;
}

void require_disjoint(const fact_set& forget, const fact_set& other, std::string_view what) {
  try {
    data::require_disjoint(forget.facts, other.facts, what);
  } catch (const error& e) {
    fail(forget.file.string(), " and ", other.file.string(), ": ", e.what());
  }
}

void note_missing_choices(const fact_set& set) {
  const auto lacks = [](const data::fact& f) { return f.false_answers.empty(); };
  if (const auto first = std::ranges::find_if(set.facts, lacks); first != set.facts.end() && !std::ranges::all_of(set.facts, lacks))
    std::cerr << "expunge: note: " << set.file.string() << ": the fact '" << first->id
              << "' has no false_answers: accuracy is by generation for all facts, not by multiple choice\n";
}

void note_vanishing(const std::filesystem::path& facts, std::vector<double> joint_probability, const char* instead) {
  const auto median = joint_probability.begin() + std::ssize(joint_probability) / 2;
  std::ranges::nth_element(joint_probability, median);
  if (*median < 1e-6)
    std::cerr << "expunge: note: " << facts.string() << ": most answers have a probability of at most " << std::setprecision(2) << *median
              << ", attributions of which vanish: " << instead << '\n';
}

std::optional<io::atomic_file> output_file(const std::filesystem::path& path, std::initializer_list<std::filesystem::path> inputs) {
  if (path.empty()) return {};
  std::error_code unknown;
  for (const auto& input : inputs) {
    if (input.empty()) continue;
    for (const auto& read : {input, input / "config.json", input / "model.safetensors", input / "tokenizer.json"})
      require(!std::filesystem::equivalent(path, read, unknown), path, ": the command reads this file, give the name of another");
  }
  return std::optional<io::atomic_file>(std::in_place, path);
}

void show_progress(const std::string& line, bool last) {
  static const auto begin = std::chrono::steady_clock::now();
  static bool shown = false;
  if (::isatty(STDERR_FILENO) == 0) return;
  if (std::chrono::steady_clock::now() - begin < std::chrono::seconds(2)) return;
  if (!last || shown) std::fprintf(stderr, "\r\033[K%s%s", line.c_str(), last ? "\n" : "");
  std::fflush(stderr);
  shown = true;
}

}  // namespace program
