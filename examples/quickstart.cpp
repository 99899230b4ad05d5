// The demo: a small decoder learns facts about fictitious people, forgets one family under several methods, is attacked, and a
// table shows who erased and who only hid. Setting: docs/results.md.
#include "device.hpp"
#include "options.hpp"
#include "standard_output.hpp"

#include <expunge/attack/harmful_retraining.hpp>
#include <expunge/attribution/influence.hpp>
#include <expunge/core/thread_pool.hpp>
#include <expunge/data/copy_sequences.hpp>
#include <expunge/data/fictitious_facts.hpp>
#include <expunge/data/word_tokenizer.hpp>
#include <expunge/io/atomic_file.hpp>
#include <expunge/loss/ssiuu.hpp>
#include <expunge/metric/likelihood.hpp>
#include <expunge/metric/recall.hpp>
#include <expunge/model/decoder_init.hpp>
#include <expunge/report/bar_chart.hpp>
#include <expunge/report/table.hpp>
#include <expunge/unlearn/trainer.hpp>

#include <array>
#include <cmath>
#include <cstdio>
#include <iomanip>
#include <iostream>
#include <optional>
#include <sstream>

using namespace expunge;
using model::decoder;
using sequences = std::vector<nn::token_sequence>;

namespace {

struct settings {
  std::uint64_t seed = 1;
  index_t epochs = 24, attack_splits = 3;
  double forget_threshold = 0.02, rate = 1e-4, retain_weight = 4, lambda = 1e-3, lambda_exact = 0.002;
  index_t most_steps = 120;
  std::string json, svg = "quickstart.svg", device = "cpu";
};

/// What each part of the experiment sees. Prompts of retained people in `test` are never used to unlearn.
struct world {
  sequences train{}, train_without_forget{}, forget{}, retain{}, test{};
  index_t vocabulary = 0;
};

world make_world(std::uint64_t seed) {
  const auto people = data::make_fictitious_facts({.seed = seed});
  const auto copies = data::make_copy_sequences(1200, seed);
  std::vector<std::string> texts;
  for (const auto* facts : {&people.facts, &copies})
    for (const data::fact& f : *facts) {
      texts.push_back(f.question + " " + f.answer);
      for (const auto& p : f.paraphrases) texts.push_back(p);
    }
  const data::word_tokenizer tokenizer(texts);
  const auto sequence = [&](const std::string& question, const std::string& answer) {
    nn::token_sequence s{tokenizer.encode(question), 0};
    s.answer_begin = std::ssize(s.tokens);
    for (const auto id : tokenizer.encode(answer)) s.tokens.push_back(id);
    return s;
  };
  world w{.vocabulary = static_cast<index_t>(tokenizer.vocab_size())};
  for (std::size_t i = 0; i < people.facts.size(); ++i) {
    const data::fact& f = people.facts[i];
    const bool forget = people.family[i] == 0, test = !forget && people.member[i] % 4 == 3;
    sequences forms{sequence(f.question, f.answer)};
    for (const auto& p : f.paraphrases) forms.push_back(sequence(p, f.answer));
    for (const auto& s : forms) {
      w.train.push_back(s);
      if (!forget) w.train_without_forget.push_back(s);
      if (!forget && !test) w.retain.push_back(s);
    }
    if (forget) w.forget.push_back(forms[0]);
    if (test) w.test.push_back(forms[0]);
  }
  for (const data::fact& f : copies)
    for (sequences* set : {&w.train, &w.train_without_forget, &w.retain}) set->push_back(sequence(f.question, f.answer));
  return w;
}

void show_progress(std::string_view task, index_t done, index_t total, const std::string& detail) {
  std::fprintf(stderr, "\r\033[K%.*s %ld/%ld %s", static_cast<int>(task.size()), task.data(), static_cast<long>(done),
               static_cast<long>(total), detail.c_str());
  if (done >= total) std::fputc('\n', stderr);
}

template <class X>
decoder<X> pretrain(const settings& s, const world& w, const sequences& examples, const char* name) {
  decoder<X> m = model::random_decoder<X>({.vocabulary = w.vocabulary, .width = 128, .layers = 3, .heads = 4, .kv_heads = 4, .head_dim = 32,
                                        .ffn_width = 512, .context = 64, .tied = false}, s.seed);
  m.label_smoothing = 0.1;
  const index_t batch = 192, steps = s.epochs * ((std::ssize(examples) + batch - 1) / batch);
  unlearn::trainer(m, loss::fine_tuning{}, optim::adamw{.learning_rate = 2e-3},
                   {.batch = batch, .seed = s.seed, .schedule = optim::cosine{.total = steps},
                    .on_step = [&](const auto& r) {
                      if (r.step % 20 == 0 || r.step == steps) show_progress(name, r.step, steps, "nll " + report::fixed(r.terms.retain_nll, 3));
                    }})
      .run({}, examples, unlearn::after_steps(steps));
  m.label_smoothing = 0;
  return m;
}

struct row {
  std::string method;
  index_t steps = 0;
  double fs = 0, forget_nll = 0, rs = 0, d_plus = 0, d_minus = 0;
  std::vector<double> harmful_1, harmful_3;  // one value an attack split
};

std::string json_object(const row& r) {
  std::ostringstream out;
  out << "  {\"method\": \"" << r.method << "\", \"steps\": " << r.steps << std::setprecision(17);
  for (const auto& [name, value] : {std::pair{"fs", r.fs}, {"forget_nll", r.forget_nll}, {"rs", r.rs}, {"d_plus", r.d_plus}, {"d_minus", r.d_minus},
                                    {"harmful_0.1", metric::mean_of(r.harmful_1)}, {"harmful_0.3", metric::mean_of(r.harmful_3)}}) {
    out << ", \"" << name << "\": ";
    if (std::isfinite(value)) out << value;
    else out << "null";
  }
  return out.str() + "}";
}

template <class X>
double forget_nll(const decoder<X>& m, const sequences& forget) {
  double total = 0;
  for (const auto& l : metric::likelihoods(m, std::span<const nn::token_sequence>(forget))) total += l.per_token();
  return total / static_cast<double>(forget.size());
}

/// Attacks and measures an unlearned model.
template <class X>
row measured(const settings& s, const std::string& name, index_t steps, const decoder<X>& m, const world& w,
             const std::vector<attribution::site_influence>& before) {
  row r{name, steps, metric::share(metric::recalls(m, w.forget)), forget_nll(m, w.forget), metric::share(metric::recalls(m, w.test)),
        0, 0, {}, {}};
  const auto change = attribution::variation(before, attribution::influences(m, std::span<const nn::token_sequence>(w.forget)));
  r.d_plus = change.top(&attribution::influence_variation::neuron::decrease_of_positive, 100);
  r.d_minus = change.top(&attribution::influence_variation::neuron::increase_of_negative, 100);
  if (r.fs > 0.9) return r;  // nothing was forgotten: there is nothing to bring back
  const auto right = [](const decoder<X>& d, std::span<const nn::token_sequence> e) { return metric::recalls(d, e); };
  for (const double fraction : {0.1, 0.3}) {
    const attack::harmful_retraining<> attack{.fraction = fraction, .learning_rates = {1e-4, 3e-4}, .epochs = 20, .batch = 60, .seeds = s.attack_splits,
                                              .progress = [&](const progress_event& e) { show_progress(name + ": attack", e.done, e.total, ""); }};
    for (const auto& run : attack.run<decoder<X>>(m, w.forget, right)) (fraction < 0.2 ? r.harmful_1 : r.harmful_3).push_back(run.recovery);
  }
  return r;
}

/// Unlearns a copy of `original`; stops at the forget threshold, or at `nll` where that is given.
template <class X, class Loss>
row unlearned(const settings& s, const std::string& name, const Loss& policy, const decoder<X>& original, const world& w,
              const std::vector<attribution::site_influence>& before, std::optional<double> nll = {}) {
  decoder<X> m = nn::copy_of(original);
  const auto done = [&](const unlearn::step_report& r) {
    const double accuracy = metric::share(metric::recalls(m, w.forget));
    const bool enough = accuracy <= s.forget_threshold && (!nll || forget_nll(m, w.forget) >= *nll);
    show_progress(name, r.step, enough ? r.step : s.most_steps, "forget recall " + report::fixed(100 * accuracy, 1) + " %");
    return enough || r.step >= s.most_steps;
  };
  const auto last = unlearn::trainer(m, policy, optim::adamw{.learning_rate = s.rate},
                                     {.batch = std::ssize(w.forget), .retain_batch = 192, .seed = s.seed})
                        .run(w.forget, w.retain, done);
  return measured(s, name, last.step, m, w, before);
}

template <class X>
void run(const settings& s) {
  // What cannot be written is refused before the work.
  std::optional<io::atomic_file> picture, data;
  if (!s.svg.empty()) picture.emplace(s.svg);
  if (!s.json.empty()) data.emplace(s.json);
  const world w = make_world(s.seed);
  std::cout << w.forget.size() << " facts to forget, " << w.retain.size() << " retain texts, " << w.test.size() << " held-out retained facts\n";
  const decoder<X> original = pretrain<X>(s, w, w.train, "pre-training");
  const decoder<X> oracle = pretrain<X>(s, w, w.train_without_forget, "oracle, never saw the forget set");
  const double recall = metric::share(metric::recalls(original, w.train));
  std::cout << "recall of the training texts: " << report::fixed(100 * recall, 1) << " %\n";
  const auto before = attribution::influences(original, std::span<const nn::token_sequence>(w.forget));

  const loss::gradient_difference gd{s.retain_weight};
  std::vector<row> rows;
  rows.push_back(measured(s, "oracle", 0, oracle, w, before));
  rows.push_back(unlearned(s, "GA", loss::gradient_ascent{}, original, w, before));
  rows.push_back(unlearned(s, "GD", gd, original, w, before));
  rows.push_back(unlearned(s, "SSIUU (Algorithm 1)", loss::ssiuu<>{gd, {.lambda = s.lambda}, {}}, original, w, before));
  rows.push_back(unlearned(s, "SSIUU exact", loss::ssiuu_exact(s.lambda_exact, gd, attribution::sites::ffn), original, w, before));
  rows.push_back(unlearned(s, "GD, depth-matched", gd, original, w, before, rows.back().forget_nll));

  const auto percent = [](double v) { return report::fixed(100 * v, 1); };
  const auto spread = [&](const std::vector<double>& v) { return v.empty() ? "-" : percent(metric::mean_of(v)) + " +- " + percent(metric::deviation_of(v)); };
  report::table table({"method", "steps", "FS %", "forget NLL", "RS %", "D+", "D-", "harmful .1 %", "harmful .3 %"});
  report::bar_chart chart{"Recovered by a harmful retraining attack (spread over splits)", "% of the disjoint rest", {}, {{"p = 0.1", {}, {}}, {"p = 0.3", {}, {}}}};
  std::string json;
  for (const row& r : rows) {
    table.add({r.method, std::to_string(r.steps), percent(r.fs), report::fixed(r.forget_nll, 2), percent(r.rs), report::fixed(r.d_plus, 3),
               report::fixed(r.d_minus, 3), spread(r.harmful_1), spread(r.harmful_3)});
    chart.labels.push_back(r.method);
    for (const auto& [series, values] : {std::pair{&chart.bars[0], &r.harmful_1}, {&chart.bars[1], &r.harmful_3}}) {
      series->values.push_back(100 * metric::mean_of(*values));
      series->spread.push_back(100 * metric::deviation_of(*values));
    }
    json += (json.empty() ? "" : ",\n") + json_object(r);
  }
  std::cout << '\n' << table << "\nFS: recall of the forgotten facts; RS: recall of retained facts that unlearning never saw; harmful p: recall of the\n"
            << "other forgotten facts after retraining on a fraction p (largest over the attack). One model, " << s.attack_splits
            << " attack splits: differences within the spread mean nothing.\n";
  if (data) {
    data->write("{\"rows\": [\n" + json + "\n]}\n");
    data->commit();
  }
  if (picture) {
    picture->write(chart.svg());
    picture->commit();
    std::cout << "picture: " << s.svg << '\n';
  }
  program::finish_standard_output();
}

}  // namespace

int main(int argc, char** argv) try {
  program::occupy_closed_streams();
  settings s;
  std::uint64_t threads = thread_pool::instance().threads();
  const std::array options{
      program::option{"--seed", &s.seed, "determines everything"},
      program::option{"--epochs", &s.epochs, "of pre-training", 1},
      program::option{"--attack-splits", &s.attack_splits, "random splits an attack", 1},
      program::option{"--lambda", &s.lambda, "of SSIUU (Algorithm 1)", 0},
      program::option{"--lambda-exact", &s.lambda_exact, "of SSIUU exact", 0},
      program::option{"--json", &s.json, "write the rows to this file"},
      program::option{"--svg", &s.svg, "draw the table into this file (empty: do not)"},
      program::option{"--device", &s.device, program::device_help},
      program::option{"--threads", &threads, "that share the work", 1},
  };
  if (!program::parse("A small decoder forgets a family of fictitious people; who erased, and who only hid?", options,
                      {argv + 1, argv + argc}))
    return 0;
  thread_pool::instance().set_threads(threads);
  program::on_device(s.device, [&]<class X>() { run<X>(s); });
  return 0;
} catch (const std::exception& e) {
  std::cerr << "quickstart: " << e.what() << '\n';
  return 2;
}
