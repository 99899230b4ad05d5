// A loss that compares with the model at the start, NPO (Zhang et al. 2024): a policy with state, from the public parts. Its gradient is that of
// differences, and without growth or shrinkage of the answers, at the first step, that of gradient ascent.
#include <boost/test/unit_test.hpp>

#include <array>
#include <cmath>
#include <span>
#include <vector>

#include <expunge/loss/objective.hpp>
#include <expunge/model/mlp.hpp>

using namespace expunge;
using X = tensor<double>;
using M = model::mlp<X, function::tanh>;

namespace {

/// -2 / beta * mean log sigmoid(beta (S - S_0)), S the NLLs.
template <class T>
struct npo_term {
  double beta;
  T original;  // S_0 [examples]
  template <class V>
  V forget(const loss::answers<V>& a) const {
    const auto b = static_cast<typename T::value_type>(beta);
    return affine(mean(unary<function::log_sigmoid>(affine(a.nll, b) + affine(V(original), -b))), -2 / b);
  }
};

template <nn::model Model>
class npo_objective {
 public:
  using T = typename Model::value_type;
  static constexpr bool needs_forget = true, needs_retain = false;
  npo_objective(double beta, const Model& model, std::span<const typename Model::example_type> forget) : beta_(beta) {
    for (const auto& example : forget) original_.push_back(model.nll(model.make_batch(std::array{&example})).to_vector()[0]);
  }
  void operator()(const Model& model, std::span<const index_t> forget_ids, const loss::example_list<Model>& forget,
                  const loss::example_list<Model>& /*retain*/, std::vector<T>& gradients, loss::step_sums<T>& out) {
    std::vector<typename T::value_type> of_batch;
    for (const index_t id : forget_ids) of_batch.push_back(original_[static_cast<std::size_t>(id)]);
    const npo_term<T> term{beta_, T({std::ssize(of_batch)}, of_batch)};
    loss::base_objective<Model, npo_term<T>>(term).pass(model, forget, std::ssize(forget), gradients, out);
  }

 private:
  double beta_;
  std::vector<typename T::value_type> original_;
};

struct npo {
  double beta = 0.1;
  template <nn::model Model>
  auto start(const Model& model, std::span<const typename Model::example_type> forget) const {
    return npo_objective<Model>(beta, model, forget);
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_loss_that_compares_with_the_model_at_the_start) {
  const std::vector<model::labelled_sample> forget{{{0.5, -1}, 0}, {{1, 2}, 1}, {{-0.3, 0.4}, 2}};
  auto m = model::random_mlp<X, function::tanh>({2, 4, 3}, 1);
  auto objective = loss::start(npo{0.5}, m, std::span(forget));
  const auto run = [&](const M& at, auto& of) {
    std::vector<X> gradients(nn::parameters(at).size());
    loss::step_sums<X> sums;
    of(at, std::vector<index_t>{2, 0}, {&forget[2], &forget[0]}, {}, gradients, sums);
    return std::pair{sums.values()[loss::step_sums<X>::forget], gradients};
  };
  const auto [at_start, same] = run(m, objective);
  BOOST_TEST(at_start == 4 * std::log(2.0), boost::test_tools::tolerance(1e-12));
  auto ascent = loss::start(loss::gradient_ascent{}, m, std::span(forget));
  const auto plain = run(m, ascent).second;
  for (std::size_t i = 0; i < plain.size(); ++i)
    for (std::size_t j = 0; j < plain[i].to_vector().size(); ++j) BOOST_TEST(std::abs(same[i].to_vector()[j] - plain[i].to_vector()[j]) <= 1e-12);

  auto weights = nn::parameters(m);
  axpy(weights[0], 0.3, plain[0]);  // away from the start
  const auto gradient = run(m, objective).second[0];
  const double step = 1e-6, along = inner_product(gradient, plain[0]);
  const auto value = [&](double by) {
    auto near = nn::copy_of(m);
    axpy(near.layers[0].weight, by, plain[0]);
    return run(near, objective).first;
  };
  BOOST_TEST((value(step) - value(-step)) / (2 * step) == along, boost::test_tools::tolerance(1e-6));
}

BOOST_AUTO_TEST_CASE(a_pass_with_more_to_forget_than_it_has_or_without_a_place_for_each_gradient_is_refused) {
  const model::labelled_sample sample{{0.5, -1}, 0};
  const auto m = model::random_mlp<X, function::tanh>({2, 4, 3}, 1);
  loss::base_objective<M, loss::gradient_difference> objective({});
  loss::step_sums<X> sums;
  const auto runs = [&](index_t forget, std::size_t places) {
    std::vector<X> gradients(places);
    objective.pass(m, {&sample, &sample}, forget, gradients, sums);
    loss::fill_absent(gradients, nn::parameters(m));
  };
  const std::size_t parameters = nn::parameters(m).size();
  BOOST_CHECK_NO_THROW(runs(1, parameters));
  for (const index_t forget : {-1, 3}) BOOST_CHECK_THROW(runs(forget, parameters), error);
  for (const std::size_t places : {std::size_t{0}, parameters + 1}) BOOST_CHECK_THROW(runs(1, places), error);
}
