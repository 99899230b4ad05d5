// The two identities that make an exact SSIUU cheap (arXiv 2509.22263 with our derivation in docs/architecture.md).
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <expunge/attribution/recording.hpp>
#include <expunge/autodiff/transforms.hpp>
#include <expunge/model/mlp.hpp>

using namespace expunge;
using X = tensor<double>;
using M = model::mlp<X, function::tanh>;

namespace {

M::batch_type some_batch(const M& m) {
  philox g(3);
  std::vector<model::labelled_sample> samples;
  for (int i = 0; i < 4; ++i)
    samples.push_back({{standard_normal(g), standard_normal(g), standard_normal(g)}, static_cast<std::int32_t>(uniform_below(g, 4))});
  std::vector<const model::labelled_sample*> all;
  for (const auto& s : samples) all.push_back(&s);
  return m.make_batch(all);
}

M biased_model() {
  M m = model::random_mlp<X, function::tanh>({3, 5, 4}, 11);
  philox g(5);
  for (auto& layer : m.layers) {
    std::vector<double> b(static_cast<std::size_t>(layer.bias.size()));
    for (double& x : b) x = standard_normal(g);
    layer.bias.upload(b);
  }
  return m;
}

std::vector<X> zeros_like(const M& m) {
  std::vector<X> out;
  for (const X& p : nn::parameters(m)) out.push_back(zeros<X>(p.extents()));
  return out;
}

template <class Recording>
std::vector<X> attributions(Recording& r, const X& nll) {
  r.attribute(zeros<X>(nll.extents()));
  std::vector<X> out;
  for (std::size_t f = 0; f < r.features(); ++f) out.push_back(r.feature(f));
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(identities)

// Summed over a neuron's weights and bias, parameter x gradient is activation x gradient summed over tokens and examples.
BOOST_AUTO_TEST_CASE(row_sums_of_parameter_attributions_are_neuron_attributions) {
  const M m = biased_model();
  const auto batch = some_batch(m);
  attribution::recording<M, attribution::per_parameter> by_parameter({});
  attribution::recording<M, attribution::per_neuron> by_neuron({});
  const auto p = attributions(by_parameter, by_parameter.record(m, batch, {})), n = attributions(by_neuron, by_neuron.record(m, batch, {}));
  for (std::size_t layer = 0; layer < m.layers.size(); ++layer) {
    const auto w = p[2 * layer].to_vector(), b = p[2 * layer + 1].to_vector(), a = n[layer].to_vector();
    for (std::size_t i = 0; i < b.size(); ++i) {
      double parameters = b[i], neuron = 0;
      for (std::size_t j = 0; j < w.size() / b.size(); ++j) parameters += w[i * (w.size() / b.size()) + j];
      for (std::size_t e = 0; e < a.size() / b.size(); ++e) neuron += a[e * b.size() + i];
      BOOST_TEST(parameters == neuron, boost::test_tools::tolerance(1e-10));
    }
  }
}

// The replay with tangents at the gates is the derivative of sum v A: here against central differences of the attributions.
BOOST_DATA_TEST_CASE(a_gate_tangent_differentiates_the_attributions, boost::unit_test::data::make({true, false}), by_example) {
  const M m = biased_model();
  const auto batch = some_batch(m);
  philox g(9);
  std::vector<X> v;
  const auto weighted = [&](const M& at) {
    attribution::recording<M, attribution::per_neuron> r({});
    const auto features = attributions(r, r.record(at, batch, {}));
    if (v.empty())
      for (const X& f : features) {
        std::vector<double> values(static_cast<std::size_t>(by_example ? f.size() : f.cols()));
        for (double& x : values) x = standard_normal(g);
        v.push_back(X(shape{by_example ? f.rows() : 1, f.cols()}, values));
      }
    double sum = 0;
    for (std::size_t i = 0; i < v.size(); ++i)
      for (index_t e = 0; e < features[i].rows(); ++e)
        sum += inner_product(by_example ? v[i].slice(e, e + 1) : v[i], features[i].slice(e, e + 1));
    return sum;
  };
  weighted(m);
  attribution::recording<M, attribution::per_neuron> r({});
  auto gradients = zeros_like(m);
  const X nll = r.record(m, batch, gradients);
  r.attribute(zeros<X>(nll.extents()));
  for (std::size_t f = 0; f < v.size(); ++f) r.weigh(f, v[f]);
  r.finish(gradients);
  auto parameters = nn::parameters(m);
  for (std::size_t i = 0; i < parameters.size(); ++i)
    for (index_t j = 0; j < parameters[i].size(); ++j) {
      const auto original = parameters[i].to_vector();
      const auto at = [&](double by) {
        auto values = original;
        values[static_cast<std::size_t>(j)] += by;
        parameters[i].upload(values);
        const double out = weighted(m);
        parameters[i].upload(original);
        return out;
      };
      const double numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
      BOOST_TEST(std::abs(numeric - gradients[i].to_vector()[static_cast<std::size_t>(j)]) <= 1e-6 * std::max(1.0, std::abs(numeric)));
    }
}

BOOST_AUTO_TEST_SUITE_END()
