// The trainer: determinism across threads, orders, stopping, clipping, a user's own loss, and what it refuses.
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <limits>
#include <set>
#include <string>

#include <expunge/core/thread_pool.hpp>
#include <expunge/loss/ssiuu.hpp>
#include <expunge/model/mlp.hpp>
#include <expunge/unlearn/trainer.hpp>

#include "../message_of.hpp"
#include "../tensor/masked_storage.hpp"
#include "weights.hpp"

using namespace expunge;
using samples = std::vector<model::labelled_sample>;

namespace {

samples some(std::uint64_t seed, int count) {
  philox g(seed);
  samples out;
  for (int i = 0; i < count; ++i)
    out.push_back({{standard_normal(g), standard_normal(g), standard_normal(g)}, static_cast<std::int32_t>(uniform_below(g, 4))});
  return out;
}

template <class X = tensor<float>, class Loss = loss::gradient_difference>
std::vector<double> weights_after(index_t steps, const Loss& policy = {}, unlearn::trainer_settings settings = {}) {
  auto m = model::random_mlp<X>({3, 16, 4}, 1);
  const samples forget = some(1, 10), retain = some(2, 10);
  unlearn::trainer(m, policy, optim::adamw{.learning_rate = 1e-2}, settings).run(forget, retain, unlearn::after_steps(steps));
  return testing::flat(m);
}

/// Ten lines of a user: forget by pushing the probability below a half, and no further.
struct hinge {
  template <class V>
  V forget(const loss::answers<V>& a) const {
    return mean(relu(affine(a.nll_per_token(), -1, 0.7)));
  }
};

/// Settings may have the names of terms.
struct named : hinge {
  double retain = 1, start = 0;
};
static_assert(loss::terms_as_meant<named, tensor<float>> && !loss::detail::has_start<named>);

/// Changes nothing; keeps the orders in which examples came.
struct watching {
  using M = model::mlp<tensor<float>>;
  static constexpr bool needs_forget = true, needs_retain = true;
  std::set<loss::example_list<M>>* orders;
  void operator()(const M&, std::span<const index_t>, const loss::example_list<M>& forget, const loss::example_list<M>& retain,
                  std::vector<tensor<float>>&, loss::step_sums<tensor<float>>&) {
    orders->insert({forget, retain});
  }
  watching start(const M&, std::span<const model::labelled_sample>) const { return *this; }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(trainer)

BOOST_AUTO_TEST_CASE(the_same_bits_for_any_number_of_threads_and_seed_matters) {
  const auto policy = loss::ssiuu_exact(0.5);
  thread_pool::instance().set_threads(1);
  const auto one = weights_after(5, policy);
  thread_pool::instance().set_threads(2);
  BOOST_TEST((weights_after(5, policy) == one));
  BOOST_TEST((weights_after(5, policy, {.seed = 1}) != one));
  BOOST_TEST((weights_after(5, policy, {.batch = 3}) != one));
  BOOST_TEST((weights_after(5, policy, {.retain_batch = 3}) != one));
  BOOST_TEST((weights_after(5, policy, {.batch = 3, .retain_batch = 5}) != weights_after(5, policy, {.batch = 3})));
  BOOST_TEST((weights_after(5, policy, {.order = unlearn::order::given}) != one));
  BOOST_TEST((weights_after(5, policy, {.clip = 1e-3}) != one));
  BOOST_TEST((weights_after(5, policy, {.clip = 1e9}) == one));
  BOOST_TEST((weights_after(5, policy, {.schedule = optim::linear_warm_up{5}}) != one));
  BOOST_TEST((weights_after(5) != one));
}

BOOST_AUTO_TEST_CASE(storage_that_cannot_be_dereferenced_trains_to_the_same_bits) {
  const auto policy = loss::ssiuu_exact(0.5);
  const auto host = weights_after(3, policy), device = weights_after<tensor<float, testing::masked_storage<float>>>(3, policy);
  BOOST_TEST((host == device));
}

BOOST_AUTO_TEST_CASE(losses_move_where_they_should) {
  auto m = model::random_mlp<tensor<double>>({3, 16, 4}, 1);
  const samples forget = some(1, 8), retain = some(2, 8);
  std::vector<unlearn::step_report> log;
  unlearn::trainer_settings settings{.on_step = [&](const unlearn::step_report& r) { log.push_back(r); }};
  unlearn::trainer(m, loss::fine_tuning{}, optim::adamw{.learning_rate = 5e-2}, settings).run({}, retain, unlearn::after_steps(60));
  BOOST_TEST(log.back().terms.retain < 0.2 * log.front().terms.retain);
  log.clear();
  unlearn::trainer(m, hinge{}, optim::sgd{.learning_rate = 0.5}, settings).run(forget, {}, [](const auto& r) { return r.terms.forget == 0; });
  BOOST_TEST(log.back().terms.forget_nll >= 0.7);
  BOOST_TEST(log.back().step == static_cast<index_t>(log.size()));
  BOOST_TEST(log.back().learning_rate == 0.5);
}

BOOST_AUTO_TEST_CASE(one_pass_and_two_report_the_same) {
  const samples forget = some(1, 8), retain = some(2, 8);
  const auto terms = [&](bool joint) {
    auto m = model::random_mlp<tensor<double>>({3, 16, 4}, 1);
    return unlearn::trainer(m, loss::gradient_difference{}, optim::sgd{}, {.joint = joint}).run(forget, retain, unlearn::after_steps(2)).terms;
  };
  const auto one = terms(true), two = terms(false);
  for (const auto term : {&loss::step_terms::forget, &loss::step_terms::retain, &loss::step_terms::forget_nll, &loss::step_terms::retain_nll})
    BOOST_TEST((one.*term) == (two.*term), boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_CASE(a_passes_batches_cover_the_set) {
  unlearn::batch_order shuffled(unlearn::order::shuffled, 7, 3, 5, 1), given(unlearn::order::given, 7, 3, 5, 1);
  std::vector<index_t> seen;
  for (const std::size_t expected : {3U, 3U, 1U}) {
    const auto ids = shuffled.next();
    BOOST_TEST(ids.size() == expected);
    seen.insert(seen.end(), ids.begin(), ids.end());
  }
  std::sort(seen.begin(), seen.end());
  BOOST_TEST((seen == std::vector<index_t>{0, 1, 2, 3, 4, 5, 6}));
  BOOST_TEST((given.next() == std::vector<index_t>{0, 1, 2}));
  BOOST_TEST((given.next() == std::vector<index_t>{3, 4, 5}));
  BOOST_TEST((given.next() == std::vector<index_t>{6, 0, 1}));
  for (const auto which : {unlearn::order::given, unlearn::order::shuffled}) BOOST_TEST(unlearn::batch_order(which, 3, 8, 5, 1).next().size() == 3U);
}

BOOST_AUTO_TEST_CASE(every_pass_set_and_seed_has_an_order_of_its_own) {
  const samples set = some(1, 20);
  std::set<loss::example_list<watching::M>> orders;
  for (const std::uint64_t seed : {1U, 2U}) {
    auto m = model::random_mlp<tensor<float>>({3, 4, 4}, 1);
    unlearn::trainer(m, watching{&orders}, optim::sgd{}, {.batch = 20, .seed = seed}).run(set, set, unlearn::after_steps(2));
  }
  BOOST_TEST(orders.size() == 2U * 2 * 2);
}

BOOST_AUTO_TEST_CASE(bad_input_is_refused_and_changes_nothing) {
  auto m = model::random_mlp<tensor<float>>({3, 16, 4}, 1);
  samples good = some(1, 4), empty, nan = good;
  nan[0].features[0] = std::numeric_limits<double>::quiet_NaN();
  unlearn::trainer t(m, loss::gradient_difference{}, optim::sgd{});
  const auto before = testing::flat(m);
  BOOST_CHECK_THROW(t.run(empty, good, unlearn::after_steps(1)), error);
  BOOST_CHECK_THROW(t.run(good, empty, unlearn::after_steps(1)), error);
  BOOST_CHECK_THROW(t.run(nan, good, unlearn::after_steps(1)), error);
  BOOST_CHECK_THROW(t.run(good, good, {}), error);
  using settings = unlearn::trainer_settings;
  for (const settings& bad : {settings{.schedule = {}}, settings{.retain_batch = -3}, settings{.clip = 0}, settings{.clip = NAN}})
    BOOST_CHECK_THROW(unlearn::trainer(m, loss::gradient_difference{}, optim::sgd{}, bad).run(good, good, unlearn::after_steps(1)), error);
  BOOST_TEST((testing::flat(m) == before));
}

BOOST_AUTO_TEST_CASE(parameters_in_one_memory_are_refused) {
  auto m = model::random_mlp<tensor<float>>({3, 4, 4}, 1);
  m.layers[1].bias = m.layers[0].bias;
  const samples set = some(1, 4);
  const std::string message = testing::message_of([&] {
    unlearn::trainer(m, loss::fine_tuning{}, optim::sgd{}).run({}, set, unlearn::after_steps(1));
  });
  BOOST_TEST(message.find(".bias and ") != std::string::npos, message);
  BOOST_TEST(message.find("share memory") != std::string::npos, message);
}

BOOST_AUTO_TEST_CASE(an_optimizer_that_replaces_parameters_is_refused) {
  struct by_value {
    double learning_rate = 0.1;
    void update(std::vector<tensor<float>>& parameters, const std::vector<tensor<float>>& gradients, double, double) const {
      for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] = mapped(functor::add{}, parameters[i], gradients[i]);
    }
    by_value start(const std::vector<tensor<float>>&) const { return *this; }
  };
  auto m = model::random_mlp<tensor<float>>({3, 4, 4}, 1);
  const samples set = some(1, 4);
  const std::string message = testing::message_of([&] { unlearn::trainer(m, loss::fine_tuning{}, by_value{}).run({}, set, unlearn::after_steps(1)); });
  BOOST_TEST(message.find("update_in_place") != std::string::npos, message);
}

BOOST_AUTO_TEST_CASE(a_loss_may_be_told_whether_sets_are_joint) {
  struct told : watching {
    bool* joint;
    told start(const M&, std::span<const model::labelled_sample>, bool together) const {
      *joint = together;
      return *this;
    }
  };
  auto m = model::random_mlp<tensor<float>>({3, 4, 4}, 1);
  const samples set = some(1, 4);
  std::set<loss::example_list<watching::M>> orders;
  for (const bool joint : {true, false}) {
    bool heard = !joint;
    unlearn::trainer(m, told{{&orders}, &heard}, optim::sgd{}, {.joint = joint}).run(set, set, unlearn::after_steps(1));
    BOOST_TEST(heard == joint);
  }
}

BOOST_AUTO_TEST_CASE(a_model_that_is_put_back_is_trained_on) {
  auto m = model::random_mlp<tensor<float>>({3, 16, 4}, 1);
  const auto start = nn::copy_of(m);
  const samples set = some(1, 6);
  std::vector<double> losses;
  unlearn::trainer_settings settings{.batch = 6, .on_step = [&](const unlearn::step_report& r) {
    losses.push_back(r.terms.retain);
    if (r.step == 2) m = nn::copy_of(start);
  }};
  unlearn::trainer(m, loss::fine_tuning{}, optim::sgd{.learning_rate = 0.1}, settings).run({}, set, unlearn::after_steps(4));
  BOOST_TEST(losses[2] == losses[0]);
  BOOST_TEST(losses[3] == losses[1]);
  settings.on_step = [&](const unlearn::step_report&) { m = model::random_mlp<tensor<float>>({3, 8, 4}, 1); };
  BOOST_CHECK_THROW(unlearn::trainer(m, loss::fine_tuning{}, optim::sgd{}, settings).run({}, set, unlearn::after_steps(2)), error);
}

BOOST_AUTO_TEST_CASE(a_gradient_that_is_not_finite_is_explained) {
  auto m = model::random_mlp<tensor<float>>({3, 16, 4}, 1);
  samples good = some(1, 4), nan = good;
  nan[0].features[0] = std::numeric_limits<double>::quiet_NaN();
  const auto trained_on = [&](const samples& set) {
    return testing::message_of([&] { unlearn::trainer(m, loss::fine_tuning{}, optim::sgd{.learning_rate = 1e30}).run({}, set, unlearn::after_steps(9)); });
  };
  const std::string first = trained_on(nan), later = trained_on(good);
  BOOST_TEST(first.starts_with("step 1: the gradient is not finite"), first);
  BOOST_TEST(first.find("an example") != std::string::npos, first);
  BOOST_TEST(first.find("lower the learning rate") == std::string::npos, first);
  BOOST_TEST(later.find("lower the learning rate") != std::string::npos, later);
}

BOOST_AUTO_TEST_CASE(a_learning_rate_that_is_not_finite_is_refused_before_the_update) {
  auto m = model::random_mlp<tensor<float>>({3, 16, 4}, 1);
  const samples set = some(1, 4);
  std::vector<float> after_one_step;
  const auto weights = [&] { return nn::parameters(m)[0].to_vector(); };
  const unlearn::trainer_settings settings{.schedule = [](index_t step) { return step == 0 ? 1 : std::numeric_limits<double>::quiet_NaN(); },
                                           .on_step = [&](const unlearn::step_report&) { after_one_step = weights(); }};
  const std::string message = testing::message_of([&] {
    unlearn::trainer(m, loss::fine_tuning{}, optim::adamw{}, settings).run({}, set, unlearn::after_steps(3));
  });
  BOOST_TEST(message.starts_with("step 2: the schedule gives a learning rate of "), message);
  BOOST_TEST((weights() == after_one_step));
}

BOOST_AUTO_TEST_CASE(a_measured_value_stops_the_run) {
  auto m = model::random_mlp<tensor<float>>({3, 16, 4}, 1);
  const samples set = some(1, 4);
  int measured = 0;
  const auto steps = [&](double threshold, index_t every) {
    measured = 0;
    const auto falls = [&] { return 5.0 - ++measured; };
    return unlearn::trainer(m, loss::fine_tuning{}, optim::sgd{}).run({}, set, unlearn::when_at_most(threshold, falls, every)).step;
  };
  BOOST_TEST(steps(2, 1) == 3);
  BOOST_TEST(measured == 3);
  BOOST_TEST(steps(2.5, 1) == 3);
  BOOST_TEST(steps(2, 4) == 12);
  BOOST_TEST(measured == 3);
  for (const index_t every : {0, -1}) BOOST_CHECK_THROW(static_cast<void>(unlearn::when_at_most(0, [] { return 1.0; }, every)), error);
}

BOOST_AUTO_TEST_SUITE_END()
