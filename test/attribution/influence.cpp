// D+ and D- against the definitions written out by hand, and attributions against a model small enough to differentiate on paper.
#include <boost/test/unit_test.hpp>

#include <limits>

#include <expunge/attribution/influence.hpp>
#include <expunge/model/decoder_init.hpp>
#include <expunge/model/mlp.hpp>

using namespace expunge;
using attribution::site_influence;
using X = tensor<double>;

namespace {
const nn::site where{3, nn::module::up};
const auto plus = &attribution::influence_variation::neuron::decrease_of_positive;
const auto minus = &attribution::influence_variation::neuron::increase_of_negative;
}  // namespace

BOOST_AUTO_TEST_SUITE(influence)

BOOST_AUTO_TEST_CASE(appendix_a) {
  // Two neurons, two examples, row by row.
  const std::vector<site_influence> before{{where, 2, {1.0, 0.5, 3.0, 0.1}, {-1.0, -0.2, -3.0, 0.0}}};
  const std::vector<site_influence> after{{where, 2, {-2.0, 0.9, 1.0, 0.5}, {-4.0, -0.1, -4.0, -0.5}}};
  const auto v = attribution::variation(before, after);
  BOOST_TEST(v.neurons.size() == 2U);
  BOOST_TEST((v.neurons[0].*plus) == ((1.0 - 0.0) + (3.0 - 1.0)) / 2);
  BOOST_TEST((v.neurons[0].*minus) == ((-1.0 + 4.0) + (-3.0 + 4.0)) / 2);
  BOOST_TEST((v.neurons[1].*plus) == 0);  // grew: clamped
  BOOST_TEST((v.neurons[1].*minus) == ((-0.2 + 0.1) + (0.0 + 0.5)) / 2, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(v.top(plus, 1) == 1.5);
  BOOST_TEST(v.top(plus, 10) == 1.5);
  BOOST_TEST(v.sorted(minus)[0] == 2);
  BOOST_TEST(v.sorted(minus, nn::site{0, nn::module::up}).empty());
  BOOST_TEST(v.top(minus, 1, where) == 2);
  BOOST_CHECK_THROW(attribution::variation(before, {}), error);
}

BOOST_AUTO_TEST_CASE(attributions_of_a_logit) {
  auto m = model::random_mlp<X>({2, 2}, 1);
  const std::vector<model::labelled_sample> one{{{0.7, -0.4}, 1}};
  const auto batch = m.make_batch(std::array{&one[0]});
  const auto z = m.logits(batch).to_vector();
  const double p1 = 1 / (1 + std::exp(z[0] - z[1]));
  const auto found = attribution::influences(m, std::span<const model::labelled_sample>(one));
  BOOST_TEST(found.size() == 1U);
  // dP1/dz = P1 (onehot - P)
  BOOST_TEST(found[0].largest[0] == z[0] * p1 * -(1 - p1), boost::test_tools::tolerance(1e-10));
  BOOST_TEST(found[0].smallest[1] == z[1] * p1 * (1 - p1), boost::test_tools::tolerance(1e-10));
  const auto logarithmic = attribution::influences(m, std::span<const model::labelled_sample>(one), attribution::measured::log_probability);
  BOOST_TEST(logarithmic[0].largest[0] == z[0] * -(1 - p1), boost::test_tools::tolerance(1e-10));
}

BOOST_AUTO_TEST_CASE(attributions_do_not_depend_on_the_batch) {
  const auto m = model::random_mlp<X>({2, 3, 2}, 1);
  std::vector<model::labelled_sample> set;
  for (int i = 0; i < 5; ++i) set.push_back({{0.3 * i, 1 - 0.5 * i}, i % 2});
  const auto at = [&](index_t batch) {
    const std::span<const model::labelled_sample> all(set);
    return attribution::influences(m, all, attribution::measured::probability, attribution::sites::all, batch);
  };
  const auto whole = at(5), parts = at(2);
  const auto near = [](const auto& a, const auto& b) { BOOST_TEST(a == b, boost::test_tools::tolerance(1e-12) << boost::test_tools::per_element()); };
  BOOST_TEST_REQUIRE(parts.size() == whole.size());
  for (std::size_t s = 0; s < whole.size(); ++s) {
    near(parts[s].largest, whole[s].largest);
    near(parts[s].smallest, whole[s].smallest);
  }
}

BOOST_AUTO_TEST_CASE(feed_forward_sites_are_gate_up_down_and_hidden) {
  const auto modules = [](const auto& m, const auto& example) {
    std::vector<nn::module> out;
    for (const auto& found : attribution::influences(m, std::span(&example, 1), attribution::measured::probability, attribution::sites::ffn))
      out.push_back(found.where.module);
    return out;
  };
  const auto decoder = model::random_decoder<X>({.vocabulary = 12, .width = 8, .layers = 1, .heads = 2, .kv_heads = 2, .head_dim = 4, .ffn_width = 8,
                                                 .context = 16}, 1);
  using enum nn::module;
  BOOST_TEST((modules(decoder, nn::token_sequence{{1, 2, 3}, 1}) == std::vector{gate, up, down}));
  BOOST_TEST((modules(model::random_mlp<X>({2, 3, 2}, 1), model::labelled_sample{{1, 2}, 0}) == std::vector{hidden, hidden}));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_compared_is_refused) {
  const std::vector<site_influence> before{{where, 2, {1, 2, 3, 4}, {-1, -2, -3, -4}}};
  const auto refused = [&](const auto& change) {
    auto after = before;
    change(after[0]);
    BOOST_CHECK_THROW(attribution::variation(before, after), error);
  };
  refused([](site_influence& a) { a.where.block = 4; });
  refused([](site_influence& a) { a.largest.resize(2), a.smallest.resize(2); });
  refused([](site_influence& a) { a.neurons = 1; });
  const std::vector<site_influence> of_no_examples{{where, 2, {}, {}}};
  BOOST_CHECK_THROW(attribution::variation(of_no_examples, of_no_examples), error);
  refused([](site_influence& a) { a.smallest[1] = std::numeric_limits<double>::quiet_NaN(); });
}

BOOST_AUTO_TEST_SUITE_END()
