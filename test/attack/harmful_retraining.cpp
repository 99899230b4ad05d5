// The harmful attack retrains on a share of what is answered wrong and measures the disjoint rest, the benign one retrains on other examples
// and measures all; both leave the model alone.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include <expunge/attack/benign_retraining.hpp>
#include <expunge/attack/harmful_retraining.hpp>
#include <expunge/metric/likelihood.hpp>
#include <expunge/model/mlp.hpp>

#include "../unlearn/weights.hpp"

using namespace expunge;
using M = model::mlp<tensor<double>>;
using samples = std::vector<model::labelled_sample>;

BOOST_AUTO_TEST_SUITE(harmful_retraining)

BOOST_AUTO_TEST_CASE(related_examples_come_back) {
  philox g(1);
  samples forget;  // one rule behind all: the sign of the first feature
  for (int i = 0; i < 20; ++i) {
    const double x = standard_normal(g);
    forget.push_back({{x, standard_normal(g)}, x > 0 ? 1 : 0});
  }
  M m = model::random_mlp<tensor<double>>({2, 8, 2}, 2);
  const auto right = [](const M& at, std::span<const model::labelled_sample> set) {
    std::vector<bool> out;
    for (const auto& l : metric::likelihoods(at, set)) out.push_back(l.probability() > 0.5);
    return out;
  };
  samples opposite = forget;  // a model that has the rule the wrong way round answers everything wrong
  for (auto& sample : opposite) sample.label = 1 - sample.label;
  unlearn::trainer(m, loss::fine_tuning{}, optim::adamw{.learning_rate = 1e-2}, {.batch = 20}).run({}, opposite, unlearn::after_steps(300));
  const auto before = testing::flat(m);
  std::vector<std::set<double>> asked;  // first features, which tell samples apart, of the sets that were measured
  const auto watched = [&](const M& at, std::span<const model::labelled_sample> set) {
    asked.emplace_back();
    for (const auto& sample : set) asked.back().insert(sample.features[0]);
    return right(at, set);
  };
  attack::harmful_retraining<> a{.fraction = 0.3, .learning_rates = {1e-4, 3e-2}, .epochs = 120, .seeds = 2};
  const auto runs = a.run(m, forget, watched);
  BOOST_TEST(runs.size() == 2U);
  BOOST_TEST((testing::flat(m) == before));
  const auto now = right(m, forget);
  const auto wrong = static_cast<std::size_t>(std::count(now.begin(), now.end(), false));
  BOOST_TEST_REQUIRE(asked.size() == 1 + 2U * 2 * 120);
  for (std::size_t seed = 0; seed < 2; ++seed) {
    const auto& retrained = runs[seed].retrained;
    BOOST_TEST(retrained.size() == static_cast<std::size_t>(std::lround(0.3 * static_cast<double>(wrong))));
    for (std::size_t i = 1 + seed * 240; i < 1 + (seed + 1) * 240; ++i) {
      BOOST_TEST_REQUIRE(asked[i].size() == wrong - retrained.size());
      for (const index_t one : retrained) BOOST_TEST_REQUIRE(!asked[i].contains(forget[static_cast<std::size_t>(one)].features[0]));
    }
  }
  for (const auto& r : runs) {
    BOOST_TEST(r.recovery >= 0.4);
    BOOST_TEST(r.learning_rate == 3e-2);
    BOOST_TEST(r.curve.size() == 120U);
    BOOST_TEST(*std::max_element(r.curve.begin(), r.curve.end()) == r.recovery);
    for (const index_t i : r.retrained) BOOST_TEST(!now[static_cast<std::size_t>(i)]);
  }
  BOOST_TEST((std::set(runs[0].retrained.begin(), runs[0].retrained.end()) != std::set(runs[1].retrained.begin(), runs[1].retrained.end())));
  a.fraction = 1.5;
  BOOST_CHECK_THROW(static_cast<void>(a.run<M>(m, forget, right)), error);
  a.fraction = 0.3;
  a.batch = 0;
  BOOST_CHECK_THROW(static_cast<void>(a.run<M>(m, forget, right)), error);
  a.batch = std::numeric_limits<index_t>::max();  // all at once
  a.epochs = 3;
  BOOST_TEST(a.run<M>(m, forget, right)[0].curve.size() == 3U);
  a.batch = 8;
  BOOST_CHECK_THROW(static_cast<void>(a.run<M>(m, forget, {})), error);
  BOOST_CHECK_THROW(static_cast<void>(a.run<M>(m, forget, [](const M&, auto) { return std::vector<bool>(3); })), error);
  BOOST_CHECK_THROW(static_cast<void>(a.run<M>(m, std::span(forget).first(1), right)), error);
}

BOOST_AUTO_TEST_CASE(a_run_is_what_the_trainer_does_and_the_first_best_is_reported) {
  philox g(1);
  samples forget;
  for (int i = 0; i < 7; ++i) forget.push_back({{standard_normal(g), standard_normal(g)}, i % 2});
  const M m = model::random_mlp<tensor<double>>({2, 8, 2}, 2);
  // How many answers are right: of the model as it is, then by seed, rate and epoch.
  const std::vector<int> script{0, 1, 3, 2, 3, 0, 1, 0, 0, 0, 1, 0, 0};
  std::vector<std::vector<double>> asked;
  const auto scripted = [&](const M& at, std::span<const model::labelled_sample> set) {
    std::vector<bool> out(set.size());
    if (asked.size() < script.size()) std::fill_n(out.begin(), script[asked.size()], true);
    asked.push_back(testing::flat(at));
    return out;
  };
  progress_event last{};
  attack::harmful_retraining<> a{.fraction = 0.4, .learning_rates = {1e-2, 1e-1}, .epochs = 3, .batch = 2, .seeds = 2,
                                 .progress = [&](const progress_event& p) { last = p; }};
  const auto runs = a.run(m, forget, scripted);
  BOOST_TEST_REQUIRE(asked.size() == script.size());
  BOOST_TEST(last.done == 12);
  BOOST_TEST(last.total == 12);
  BOOST_TEST(runs[0].recovery == 0.75);
  BOOST_TEST(runs[0].learning_rate == 1e-2);
  BOOST_TEST(runs[1].recovery == 0.25);
  BOOST_TEST(runs[1].learning_rate == 1e-1);
  for (std::size_t seed = 0; seed < 2; ++seed) {
    BOOST_TEST(runs[seed].seed == seed);
    BOOST_TEST_REQUIRE(runs[seed].retrained.size() == 3U);  // 0.4 * 7, rounded
    samples train;
    for (const index_t i : runs[seed].retrained) train.push_back(forget[static_cast<std::size_t>(i)]);
    for (std::size_t rate = 0; rate < 2; ++rate) {
      M by_hand = nn::copy_of(m);
      unlearn::trainer(by_hand, loss::fine_tuning{}, optim::adamw{.learning_rate = a.learning_rates[rate]}, {.batch = 2, .seed = seed})
          .run({}, train, unlearn::after_steps(3 * 2));
      BOOST_TEST((asked[3 * (2 * seed + rate + 1)] == testing::flat(by_hand)));
    }
  }
  for (const auto& [fraction, size] : {std::pair{0.01, 1U}, {0.99, 6U}}) {
    a.fraction = fraction;
    BOOST_TEST(a.run(m, forget, scripted)[0].retrained.size() == size);
  }
}

BOOST_AUTO_TEST_CASE(benign_retraining_is_on_other_examples_and_measures_all) {
  philox g(1);
  samples forget, other;
  for (int i = 0; i < 4; ++i) forget.push_back({{standard_normal(g), standard_normal(g)}, i % 2});
  for (int i = 0; i < 5; ++i) other.push_back({{standard_normal(g), standard_normal(g)}, i % 2});
  const M m = model::random_mlp<tensor<double>>({2, 8, 2}, 2);
  const auto before = testing::flat(m);
  const std::vector<int> script{1, 3, 2, 2, 0, 0, 0, 1};  // how many answers are right, by seed, rate and epoch
  std::vector<std::vector<double>> asked;
  const auto scripted = [&](const M& at, std::span<const model::labelled_sample> set) {
    BOOST_TEST(set.data() == forget.data());
    std::vector<bool> out(set.size());
    std::fill_n(out.begin(), script.at(asked.size()), true);
    asked.push_back(testing::flat(at));
    return out;
  };
  attack::benign_retraining<> a{.learning_rates = {1e-2, 1e-1}, .epochs = 2, .batch = 2, .seeds = 2};
  const auto runs = a.run(m, other, forget, scripted);
  BOOST_TEST((testing::flat(m) == before));
  BOOST_TEST_REQUIRE(asked.size() == script.size());
  BOOST_TEST(runs[0].recovery == 0.75);
  BOOST_TEST(runs[0].learning_rate == 1e-2);
  BOOST_TEST((runs[0].curve == std::vector{0.25, 0.75}));
  BOOST_TEST(runs[1].recovery == 0.25);
  BOOST_TEST(runs[1].learning_rate == 1e-1);
  BOOST_TEST(runs[0].retrained.empty());
  for (std::size_t seed = 0; seed < 2; ++seed)
    for (std::size_t rate = 0; rate < 2; ++rate) {
      M by_hand = nn::copy_of(m);
      unlearn::trainer(by_hand, loss::fine_tuning{}, optim::adamw{.learning_rate = a.learning_rates[rate]}, {.batch = 2, .seed = seed})
          .run({}, other, unlearn::after_steps(2 * 3));
      BOOST_TEST((asked[2 * (2 * seed + rate) + 1] == testing::flat(by_hand)));
    }
  BOOST_CHECK_THROW(static_cast<void>(a.run<M>(m, {}, forget, scripted)), error);
  BOOST_CHECK_THROW(static_cast<void>(a.run<M>(m, other, {}, scripted)), error);
  BOOST_CHECK_THROW(static_cast<void>(a.run<M>(m, other, forget, {})), error);
  a.epochs = 0;
  BOOST_CHECK_THROW(static_cast<void>(a.run<M>(m, other, forget, scripted)), error);
}

BOOST_AUTO_TEST_SUITE_END()
