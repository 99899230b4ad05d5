// D+ and D- against the definitions written out by hand, and attributions against a model small enough to differentiate on paper.
#include <boost/test/unit_test.hpp>

#include <expunge/attribution/influence.hpp>
#include <expunge/model/mlp.hpp>

using namespace expunge;
using attribution::site_influence;

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
  BOOST_TEST(v.sorted(minus, [](const nn::site& s) { return s.block == 0; }).empty());
  BOOST_CHECK_THROW(attribution::variation(before, {}), error);
}

BOOST_AUTO_TEST_CASE(attributions_of_a_logit) {
  using X = tensor<double>;
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

BOOST_AUTO_TEST_SUITE_END()
