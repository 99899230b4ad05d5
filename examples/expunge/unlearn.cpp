#include "output_folder.hpp"
#include "program.hpp"

#include <expunge/core/progress.hpp>
#include <expunge/loss/ssiuu.hpp>
#include <expunge/metric/likelihood.hpp>
#include <expunge/metric/recall.hpp>
#include <expunge/report/table.hpp>
#include <expunge/unlearn/memory_plan.hpp>
#include <expunge/unlearn/trainer.hpp>

#include <cmath>
#include <iostream>
#include <memory>
#include <utility>

#include <unistd.h>

using namespace expunge;

namespace program {

namespace {

struct options {
  std::string model, forget, retain, out, log;
  std::string method = "gd", optimizer = "adamw", curvature = "first", granularity = "parameter", reduction = "batch", reference = "previous",
              norm = "squared", sites = "all", measured = "probability", order = "shuffled";
  double rate = 1e-5, lambda = 1e-3, retain_weight = 1, weight_decay = 0, clip = 0;
  std::optional<double> until;
  index_t steps = 0, batch = 8, every = 1;
  std::uint64_t seed = 0;
  bool plan = false, checkpoint = false;
  text_options text;
};

/// --method ssiuu-exact stands for settings of ssiuu, where no option says otherwise: README's loss::ssiuu_exact(0.0003, base, sites::ffn).
void fill_in_method(options& o, const CLI::App& command) {
  if (o.method != "ssiuu-exact") return;
  o.method = "ssiuu";
  const auto set = [&](const char* option, auto& value, auto unless_given) {
    if (command.count(option) == 0) value = unless_given;
  };
  set("--granularity", o.granularity, "neuron");
  if (o.granularity == "neuron") set("--sites", o.sites, "ffn");
  set("--curvature", o.curvature, "exact");
  set("--norm", o.norm, "abs");
  set("--lambda", o.lambda, 0.0003);
}

loss::ssiuu_settings settings_of(const options& o) {
  return {.lambda = o.lambda,
          .norm = o.norm == "abs" ? loss::norm::absolute : loss::norm::squared,
          .reference = o.reference == "previous" ? loss::reference::previous
                       : o.reference == "example" ? loss::reference::example : loss::reference::original,
          .reduction = o.reduction == "batch" ? loss::reduction::batch : loss::reduction::example,
          .curvature = o.curvature == "exact" ? attribution::curvature::exact : attribution::curvature::first_order,
          .measured = o.measured == "probability" ? attribution::measured::probability : attribution::measured::log_probability};
}

nlohmann::ordered_json log_line(const unlearn::step_report& r) {
  return {{"step", r.step}, {"loss", r.terms.forget + r.terms.retain + r.terms.penalty}, {"forget", r.terms.forget}, {"retain", r.terms.retain},
          {"penalty", r.terms.penalty}, {"forget_nll", r.terms.forget_nll}, {"retain_nll", r.terms.retain_nll},
          {"gradient_norm", r.gradient_norm}, {"learning_rate", r.learning_rate}, {"seconds", r.seconds}};
}

template <class X, class Loss, class Optimizer>
void train(const options& o, language_model<X>& m, const fact_set& forget, const sequences& retain, const Loss& policy, const Optimizer& optimizer,
           const std::function<void(const unlearn::step_report&)>& on_step) {
  const index_t limit = o.steps > 0 ? o.steps : 1000;
  bool reached = !o.until;
  const auto stop = [&](const unlearn::step_report& r) {
    std::string line = "step " + std::to_string(r.step) + "/" + std::to_string(limit) + "  forget nll " + report::fixed(r.terms.forget_nll, 3);
    if (o.until && (r.step % o.every == 0 || r.step >= limit)) {
      const double accuracy = metric::share(forget.choices.empty() ? generated(m, forget) : multiple_choice(m, forget));
      reached = accuracy <= *o.until;
      line += "  forget accuracy " + report::fixed(accuracy, 3);
    }
    const bool end = (o.until && reached) || r.step >= limit;
    show_progress(line, end);
    return end;
  };
  unlearn::trainer_settings settings{.batch = o.batch, .order = o.order == "given" ? unlearn::order::given : unlearn::order::shuffled, .seed = o.seed,
                                     .on_step = on_step};
  if (o.clip > 0) settings.clip = o.clip;
  const auto last = unlearn::trainer(m.weights, policy, optimizer, settings).run(forget.answers, retain, stop);
  if (!reached) std::cerr << "expunge: forget accuracy still above " << *o.until << " after " << last.step << " steps\n";
}

/// Calls f(loss policy, optimizer policy) with those that the options ask for.
template <class F>
auto with_policies(const options& o, const F& f) {
  const auto with_optimizer = [&](const auto& policy) {
    return o.optimizer == "sgd" ? f(policy, optim::sgd{.learning_rate = o.rate, .weight_decay = o.weight_decay})
                                : f(policy, optim::adamw{.learning_rate = o.rate, .weight_decay = o.weight_decay});
  };
  const loss::gradient_difference gd{o.retain_weight};
  if (o.method == "ga") return with_optimizer(loss::gradient_ascent{});
  if (o.method == "gd") return with_optimizer(gd);
  if (o.granularity == "parameter") return with_optimizer(loss::ssiuu<>{gd, settings_of(o), {}});
  return with_optimizer(loss::ssiuu<loss::gradient_difference, attribution::per_neuron>{
      gd, settings_of(o), {o.sites == "ffn" ? attribution::sites::ffn : attribution::sites::all}});
}

/// Refuses a plan that the device has no room for, of which `made` bytes are there already; notes one that is larger than the memory of
/// the host and then returns true.
template <class X>
bool check_room(const unlearn::memory_plan& plan, [[maybe_unused]] std::size_t made) {
#ifdef EXPUNGE_WITH_CUDA
  if constexpr (on_cuda<X>) {
    const auto device = cuda::describe_device();
    unlearn::require_room(plan, device.free_bytes + made, "device " + std::to_string(device.number) + " (" + device.name + ")");
    return false;
  }
#endif
  const std::size_t memory = static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  if (plan.total() <= memory) return false;
  std::cerr << "expunge: note: this machine has " << memory / 1000000 << " MB of memory, this run needs " << unlearn::describe(plan) << '\n';
  return true;
}

/// The facts to forget, and the answers to retain where the method has a use for them.
template <class X>
std::pair<fact_set, sequences> load_sets(const options& o, const language_model<X>& m) {
  std::pair<fact_set, sequences> out{load_facts(o.forget, m, o.text), {}};
  require(o.method == "ga" || !o.retain.empty(), "unlearn: --method ", o.method, " needs --retain R.jsonl");
  if (o.retain.empty()) return out;
  fact_set kept = load_facts(o.retain, m, o.text);  // checked for ga too
  require_disjoint(out.first, kept, "retain set");
  if (o.method != "ga") out.second = std::move(kept.answers);
  return out;
}

template <class X>
void run_unlearn(const options& o, const CLI::App& command) {
  require(o.plan || o.steps > 0 || o.until, "unlearn: give --steps N or --until-forget-accuracy X");
  require(o.plan || !o.out.empty(), "unlearn: give --out, the folder to write");
  require(o.sites == "all" || o.granularity == "neuron" || o.method != "ssiuu", "unlearn: --sites ", o.sites, " needs --granularity neuron");
  const auto planned = [&](index_t forget_examples, const unlearn::batch_size& forget, const unlearn::batch_size& retain) {
    return with_policies(o, [&](const auto& policy, const auto& optimizer) {
      return unlearn::plan_memory<X>(model::read_decoder_config(o.model), policy, optimizer, forget_examples, forget, retain,
                                     {.checkpoint = o.checkpoint});
    });
  };
  const bool noted = check_room<X>(planned(0, {}, {}), 0);
  require(!o.checkpoint || o.method != "ssiuu", "unlearn: --checkpoint is for ga and gd; ssiuu needs what a layer keeps");
  const auto of_sets = [&](const auto& sets) {
    return planned(std::ssize(sets.first.answers), unlearn::largest_batch(sets.first.answers, o.batch), unlearn::largest_batch(sets.second, o.batch));
  };
  if (o.plan) {  // the weights themselves do not matter
    const unlearn::memory_plan plan = of_sets(load_sets(o, model::load_language_model<unmade_tensor>(o.model)));
    if (!noted) check_room<X>(plan, 0);
    std::cout << "memory of the run: " << unlearn::describe(plan) << '\n';
    return;
  }
  auto m = model::load_language_model<X>(o.model);
  m.weights.checkpoint = o.checkpoint;
  const auto sets = load_sets(o, m);
  const fact_set& forget = sets.first;
  const sequences& retain = sets.second;
  const unlearn::memory_plan plan = of_sets(sets);
  if (!noted) check_room<X>(plan, plan.weights);
  require(m.cannot_save.empty(), m.cannot_save);
  for (const char* name : model::tokenizer_file_names) {
    const std::filesystem::path there = std::filesystem::path(o.out) / name;
    require(m.tokenizer_files.contains(name) || !std::filesystem::exists(there), o.out, ": holds ", name, ", which ", o.model,
            " does not have and which would stay beside the new model: remove it or choose another folder");
    require(!std::filesystem::is_directory(there), o.out, ": holds a folder named ", name, ", choose another folder");
  }
  output_folder out(o.out);
  std::optional<io::atomic_file> log = output_file(o.log, {o.forget, o.retain, o.model});
  for (const char* name : {"--lambda", "--curvature", "--granularity", "--reduction", "--reference", "--norm", "--sites", "--measured"})
    if (o.method != "ssiuu" && command.count(name) > 0) std::cerr << "expunge: note: " << name << " has no effect with --method " << o.method << '\n';
  if (!o.until && command.count("--every") > 0) std::cerr << "expunge: note: --every has no effect without --until-forget-accuracy\n";
  note_missing_choices(forget);
  if (o.method == "ga" && command.count("--retain-weight") > 0) std::cerr << "expunge: note: --retain-weight has no effect with --method ga\n";
  if (o.method == "ssiuu" && o.measured == "probability") {
    std::vector<double> p;
    for (const auto& l : metric::likelihoods(m.weights, std::span<const nn::token_sequence>(forget.answers), o.batch)) p.push_back(l.joint_probability());
    note_vanishing(o.forget, std::move(p), "there is next to no penalty; use --measured log_probability and choose --lambda anew");
  }
  index_t logged = 0;
  const auto on_step = [&](const unlearn::step_report& r) {
    if (log) log->write(log_line(r).dump() + "\n"), ++logged;
  };
  try {
    with_policies(o, [&](const auto& policy, const auto& optimizer) { train(o, m, forget, retain, policy, optimizer, on_step); });
    require(std::isfinite(optim::global_norm(nn::parameters(m.weights))), "after the last step the weights are not finite, ", o.out,
            " is not written: lower the learning rate");
    model::save_language_model(m, out.stage());
    out.commit();  // before the evaluation, which may find less memory than a step
  } catch (...) {
    if (logged > 0) log->commit();  // it shows how the run came to that
    throw;
  }
  if (log) log->commit();
  std::cout << "forget set after unlearning:\n" << summary(evaluate(m, forget)).dump(2) << "\nwritten: " << o.out << '\n';
}

}  // namespace

void add_unlearn(CLI::App& app, action& run) {
  const auto o = std::make_shared<options>();
  CLI::App* c = app.add_subcommand("unlearn", "make a model forget the facts of a file");
  c->add_option("--model", o->model, "Hugging Face folder or GGUF file")->required();
  c->add_option("--forget", o->forget, "JSONL of facts to forget: " + std::string(data::facts_format))->required();
  c->add_option("--retain", o->retain, "JSONL of facts to keep (gd, ssiuu)");
  c->add_option("--out", o->out, "Hugging Face folder to write; needed but with --plan. Until the end its files are in .partial within");
  c->add_option("--log", o->log, "JSONL with a line a step; until the end, and after a run that was killed, under this name with .partial behind");
  const auto choice = [&](const char* name, std::string& value, std::vector<std::string> values, const char* what) {
    c->add_option(name, value, what)->check(CLI::IsMember(std::move(values)))->capture_default_str();
  };
  choice("--method", o->method, {"ga", "gd", "ssiuu", "ssiuu-exact"},
         "unlearning loss; ssiuu: Algorithm 1 of the paper but for the options below; ssiuu-exact: the same with --curvature exact --granularity "
         "neuron --sites ffn --norm abs --lambda 0.0003 where these are not given");
  choice("--optimizer", o->optimizer, {"sgd", "adamw"}, "optimizer");
  choice("--order", o->order, {"given", "shuffled"}, "order of the examples");
  choice("--curvature", o->curvature, {"first", "exact"}, "ssiuu: drop or keep the second-order term");
  choice("--granularity", o->granularity, {"parameter", "neuron"}, "ssiuu: what a feature is");
  choice("--reduction", o->reduction, {"batch", "example"}, "ssiuu: penalise the batch's sum or each example");
  choice("--reference", o->reference, {"previous", "example", "original"}, "ssiuu: what growth is measured against");
  choice("--norm", o->norm, {"squared", "abs"}, "ssiuu: of the difference");
  choice("--sites", o->sites, {"all", "ffn"}, "ssiuu per neuron: which linear layers");
  choice("--measured", o->measured, {"probability", "log_probability"}, "ssiuu: attributions of what; of long answers the probability vanishes");
  c->add_option("--lr", o->rate, "learning rate")->capture_default_str()->check(not_negative());
  c->add_option("--lambda", o->lambda, "ssiuu: weight of the penalty")->capture_default_str()->check(not_negative());
  c->add_option("--retain-weight", o->retain_weight, "weight of the retain term")->capture_default_str()->check(not_negative());
  c->add_option("--weight-decay", o->weight_decay, "of the optimizer")->capture_default_str()->check(not_negative());
  c->add_option("--clip", o->clip, "largest global gradient norm (default: off)")->check(positive());
  c->add_option("--steps", o->steps, "number of steps; with --until-forget-accuracy the most (default then 1000)")->check(whole(1));
  c->add_option("--until-forget-accuracy", o->until, "stop at this accuracy (multiple choice where all facts have false answers, else generation)")
      ->check(share());
  c->add_option("--every", o->every, "with --until-forget-accuracy: look at it after every so many steps, and at the last")
      ->capture_default_str()
      ->check(whole(1));
  c->add_option("--batch", o->batch, "examples a step, of each set")->capture_default_str()->check(whole(1));
  c->add_option("--seed", o->seed, "determines the run")->capture_default_str()->check(whole(0, std::numeric_limits<std::uint64_t>::max()));
  c->add_flag("--checkpoint", o->checkpoint, "ga, gd: keep one value a layer and compute the rest again; less memory, more time");
  c->add_flag("--plan", o->plan, "print the memory that the run needs, and stop");
  o->text.add_to(*c);
  c->callback([o, c, &run] {
    fill_in_method(*o, *c);
    run = [o, c] { on_device(o->text.device, [&]<class X>() { run_unlearn<X>(*o, *c); }); };
  });
}

}  // namespace program
