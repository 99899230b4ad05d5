// The trainer: a model, a loss policy and an optimizer policy, composed into a loop of steps.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "expunge/loss/objective.hpp"
#include "expunge/optim/optimizer.hpp"
#include "expunge/optim/schedule.hpp"
#include "expunge/unlearn/batch_order.hpp"

namespace expunge::unlearn {

/// A step as the log shows it; all values but `seconds` are determined by the seed.
struct step_report {
  index_t step = 0;  // from 1
  loss::step_terms terms{};
  double gradient_norm = 0;  // before clipping
  double learning_rate = 0;
  double seconds = 0;
};

/// Asked after every step: true ends the run.
using stopping_rule = std::function<bool(const step_report&)>;

[[nodiscard]] inline stopping_rule after_steps(index_t count) {
  return [count](const step_report& r) { return r.step >= count; };
}

/// Stops where `measure()` (say, the forget accuracy) is at most `threshold`; measured every `every` steps. Throws expunge::error for an
/// `every` that is not positive.
[[nodiscard]] inline stopping_rule when_at_most(double threshold, std::function<double()> measure, index_t every = 1) {
  require_positive(every, "when_at_most: every", "steps");
  return [threshold, every, measure = std::move(measure)](const step_report& r) { return r.step % every == 0 && measure() <= threshold; };
}

struct trainer_settings {
  index_t batch = 8;         // examples a step, of each of forget and retain
  index_t retain_batch = 0;  // 0: as `batch`
  unlearn::order order = order::shuffled;
  std::uint64_t seed = 0;    // determines the run bit for bit
  bool joint = true;         // forget and retain examples in one pass: faster; false: one after the other, about half the activations
  double clip = std::numeric_limits<double>::infinity();  // largest global gradient norm
  std::function<double(index_t)> schedule = optim::constant_rate{};
  std::function<void(const step_report&)> on_step{};      // called before the stopping rule
};

/// Composes the three policies. The model's tensors are updated in place, for its copies too: nn::copy_of() makes one apart.
template <nn::model M, class Loss, class Optimizer>
class trainer {
  static_assert(!std::is_const_v<M>, "trainer: the model is const, and training changes its tensors in place; give a nn::copy_of() it");
  static_assert(loss::loss_policy<Loss, M>,
                "trainer: the loss needs `V forget(const loss::answers<V>&) const`, `V retain(...) const` or both, or "
                "`start(model, forget)`; see expunge/loss/base.hpp");
  static_assert(optim::optimizer_policy<Optimizer, typename M::value_type>,
                "trainer: the optimizer needs `double learning_rate` and `start(parameters)`, whose result has "
                "`update(parameters, gradients, learning_rate_factor, gradient_factor)`; see expunge/optim/optimizer.hpp");

 public:
  using X = typename M::value_type;
  using example_type = typename M::example_type;

  trainer(M& model, const Loss& loss, const Optimizer& optimizer, trainer_settings settings = {})
      : model_(model), loss_(loss), optimizer_(optimizer), settings_(std::move(settings)) {}

  /// Runs until `stop` says so; returns the last step's report. Throws expunge::error for an empty set that the loss needs, an empty
  /// rule, parameters that share memory or an optimizer that replaces them, and where the norm of a step's gradient or its learning rate is not
  /// finite or memory runs out (the parameters are then those before that step). What the last step made of the parameters is not looked at.
  step_report run(std::span<const example_type> forget, std::span<const example_type> retain, const stopping_rule& stop) {
    require(static_cast<bool>(settings_.schedule), "the schedule is empty: give one, for example optim::constant_rate{}");
    require(settings_.retain_batch >= 0, "retain_batch is ", settings_.retain_batch, ", expected 0 (as batch) or a number of examples");
    require(static_cast<bool>(stop), "the stopping rule is empty: give one, for example unlearn::after_steps(100)");
    auto objective = with_purpose([&] { return loss::start(loss_, model_, forget, settings_.joint); }, "references of the loss");
    using objective_type = decltype(objective);
    static_assert(requires { objective_type::needs_forget && objective_type::needs_retain; },
                  "trainer: what the loss's `start` returns needs `static constexpr bool needs_forget, needs_retain`; see expunge/loss/objective.hpp");
    constexpr bool with_forget = objective_type::needs_forget, with_retain = objective_type::needs_retain;
    require(!with_forget || !forget.empty(), "the forget set is empty: this loss needs at least one example to forget");
    require(!with_retain || !retain.empty(), "the retain set is empty: this loss has a retain term, give it examples or use ga");
    require(settings_.clip > 0, "clip is ", settings_.clip, ", expected a positive norm");

    require_apart();
    std::vector<X> parameters = nn::parameters(model_);
    std::vector<X> gradients(parameters.size());  // only while a step needs them: activations then take their place
    auto optimizer = with_purpose([&] { return optimizer_.start(parameters); }, "moments of the optimizer");
    const index_t retain_batch = settings_.retain_batch > 0 ? settings_.retain_batch : settings_.batch;
    batch_order forget_order(settings_.order, with_forget ? std::ssize(forget) : 1, settings_.batch, settings_.seed, 1);
    batch_order retain_order(settings_.order, with_retain ? std::ssize(retain) : 1, retain_batch, settings_.seed, 2);
    const auto chosen = [](std::span<const example_type> set, const std::vector<index_t>& ids) {
      loss::example_list<M> out;
      for (const index_t id : ids) out.push_back(&set[static_cast<std::size_t>(id)]);
      return out;
    };

    step_report report;
    do {
      const auto begin = std::chrono::steady_clock::now();
      ++report.step;
      take_parameters(parameters);
      const auto sums = with_purpose([&] {
        loss::example_list<M> to_forget, to_retain;
        std::vector<index_t> ids;
        if constexpr (with_forget) to_forget = chosen(forget, ids = forget_order.next());
        if constexpr (with_retain) to_retain = chosen(retain, retain_order.next());
        loss::step_sums<X> gathered;
        objective(model_, ids, to_forget, to_retain, gradients, gathered);
        loss::fill_absent(gradients, parameters);
        auto squared_norm = gathered.sum(gathered.squared_norm);
        add_sum_of_squares(squared_norm, gradients);
        return gathered.values();  // the one place where a step waits for the device
      }, "step ", report.step, " (the model is as it was before the step)");
      report.terms = loss::step_sums<X>::terms(sums);
      report.gradient_norm = std::sqrt(sums[loss::step_sums<X>::squared_norm]);
      require(std::isfinite(report.gradient_norm), "step ", report.step, ": the gradient is not finite (forget term ",
              report.terms.forget, ", retain term ", report.terms.retain, ", penalty ", report.terms.penalty, "): ",
              report.step > 1 ? "lower the learning rate, clip the gradient or lower lambda"
                              : "no step was made before, so a weight of the model, a value of an example or lambda is not finite or far too large");
      const double factor = settings_.schedule(report.step - 1);
      report.learning_rate = factor * optimizer_.learning_rate;
      require(std::isfinite(report.learning_rate), "step ", report.step, ": the schedule gives a learning rate of ", report.learning_rate,
              ", expected a finite number");
      optimizer.update(parameters, gradients, factor, std::min(1.0, settings_.clip / report.gradient_norm));
      require(std::ranges::equal(nn::parameters(model_), parameters, {}, &X::data, &X::data), "the optimizer put a tensor of its own in the place of a "
              "parameter, and the model stays as it was: let it write into the parameters' memory (update_in_place, map_in_place)");
      std::ranges::fill(gradients, X{});
      report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      if (settings_.on_step) settings_.on_step(report);
    } while (!stop(report));
    return report;
  }

 private:
  /// Two parameters in one memory would be updated twice, each with its own moments.
  void require_apart() const {
    using memory = std::pair<typename X::const_pointer, std::string>;
    std::vector<memory> seen;
    nn::for_each_parameter(
        [&](const nn::name_path& name, const X& p) {
          const auto other = std::ranges::find(seen, p.data(), &memory::first);
          require(other == seen.end() || p.size() == 0, "two parameters share memory and would be trained as one; name it once, or clone() one of them: ",
                  other == seen.end() ? "" : other->second, " and ", name.str());
          seen.emplace_back(p.data(), name.str());
        },
        std::as_const(model_));
  }

  /// The model's tensors of now: a stopping rule or on_step may have put others in their places.
  void take_parameters(std::vector<X>& parameters) const {
    std::vector<X> now = nn::parameters(model_);
    const bool same = std::ranges::equal(now, parameters, [](const X& a, const X& b) { return a.extents() == b.extents(); });
    require(same, "the model's parameters are no longer as many and of the shapes that they were when the run began");
    parameters = std::move(now);
  }

  M& model_;
  Loss loss_;
  Optimizer optimizer_;
  trainer_settings settings_;
};

}  // namespace expunge::unlearn
