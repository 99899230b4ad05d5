// SSIUU against differences of the penalty itself, for every meaningful setting; settings without meaning are refused. Base losses on paper.
#include <boost/test/unit_test.hpp>

#include <array>
#include <cmath>
#include <functional>

#include <expunge/loss/ssiuu.hpp>
#include <expunge/model/decoder_init.hpp>
#include <expunge/model/mlp.hpp>

#include "../larger_error.hpp"

using namespace expunge;
using loss::example_list, loss::step_sums;
using X = tensor<double>;
using M = model::mlp<X, function::tanh>;

namespace {

template <class Model>
struct setting_of {
  using example = typename Model::example_type;
  Model model;
  std::vector<example> forget{}, retain{};
  static example_list<Model> chosen(const std::vector<example>& set, const std::vector<index_t>& ids) {
    example_list<Model> out;
    for (const index_t i : ids) out.push_back(&set[static_cast<std::size_t>(i)]);
    return out;
  }
};

struct setting : setting_of<M> {
  setting() : setting_of<M>{model::random_mlp<X, function::tanh>({3, 5, 4}, 11)} {
    philox g(3);
    for (int i = 0; i < 5; ++i)
      for (auto* set : {&forget, &retain})
        set->push_back({{standard_normal(g), standard_normal(g), standard_normal(g)}, static_cast<std::int32_t>(uniform_below(g, 4))});
  }
};

template <class Model>
std::vector<X> random_like(const Model& m, std::uint64_t seed) {
  philox g(seed);
  std::vector<X> out;
  for (const X& p : nn::parameters(m)) {
    std::vector<double> v(static_cast<std::size_t>(p.size()));
    for (double& x : v) x = standard_normal(g);
    out.push_back(X(p.extents(), v));
  }
  return out;
}

template <class Model>
Model moved(const Model& m, const std::vector<X>& direction, double by) {
  Model out = nn::copy_of(m);
  auto parameters = nn::parameters(out);
  for (std::size_t i = 0; i < parameters.size(); ++i) axpy(parameters[i], by, direction[i]);
  return out;
}

template <class Model>
struct visit_of {
  Model at;
  std::vector<index_t> ids;  // of the examples to forget
};
using visit = visit_of<M>;

/// The last step's terms and gradient.
template <class Policy, class Model>
std::pair<loss::step_terms, std::vector<X>> last_step(const Policy& policy, const setting_of<Model>& s, const std::vector<visit_of<Model>>& visits, bool joint) {
  auto objective = loss::start(policy, visits[0].at, std::span<const typename Model::example_type>(s.forget), joint);
  std::pair<loss::step_terms, std::vector<X>> out;
  for (const auto& [at, ids] : visits) {
    std::vector<X> gradients(nn::parameters(at).size());
    step_sums<X> sums;
    objective(at, ids, s.chosen(s.forget, ids), s.chosen(s.retain, {0, 1}), gradients, sums);
    loss::fill_absent(gradients, nn::parameters(at));
    out = {sums.terms(sums.values()), gradients};
    if (&at == &visits[0].at) BOOST_TEST(out.first.penalty == 0);
  }
  return out;
}

/// Step one at one set of weights, step two at another; compares the second step's gradient with differences of its total.
template <class Policy, class Model = M>
double worst_error(const Policy& policy, bool joint, const setting_of<Model>& s = setting{}) {
  const Model first = s.model, second = moved(s.model, random_like(s.model, 5), 0.05);
  const auto run = [&](const Model& at) {
    return last_step(policy, s, std::vector<visit_of<Model>>{{first, {0, 1, 3}}, {at, {1, 3, 4}}}, joint);
  };
  const auto [terms, gradients] = run(second);
  BOOST_TEST(terms.penalty > 0);
  double worst = 0;
  for (std::uint64_t seed = 20; seed < 24; ++seed) {
    const auto direction = random_like(second, seed);
    const double step = 1e-6;
    const auto total = [&](double by) {
      const auto t = run(moved(second, direction, by)).first;
      return t.forget + t.retain + t.penalty;
    };
    const double numeric = (total(step) - total(-step)) / (2 * step);
    double exact = 0;
    for (std::size_t i = 0; i < direction.size(); ++i) exact += inner_product(gradients[i], direction[i]);
    worst = testing::larger_error(worst, std::abs(numeric - exact) / std::max(std::abs(numeric), 1e-3));
  }
  return worst;
}

using attribution::curvature, attribution::measured;
using namespace loss;
constexpr double lambda = 3;

/// By differences, for every parameter: the derivative of sum over `ids` of P, or of log P.
std::vector<std::vector<double>> slopes_of(measured what, const M& at, const setting& s, const std::vector<index_t>& ids) {
  const M m = nn::copy_of(at);
  const auto total = [&] {
    double sum = 0;
    for (const double nll : m.nll(m.make_batch(setting::chosen(s.forget, ids)), nn::no_observer{}).to_vector())
      sum += what == measured::probability ? std::exp(-nll) : -nll;
    return sum;
  };
  std::vector<std::vector<double>> out;
  for (X& p : nn::parameters(m)) {
    auto values = p.to_vector();
    std::vector<double> slopes;
    for (double& x : values) {
      const auto moved_by = [&](double by) {
        const double before = std::exchange(x, x + by);
        p.upload(values);
        x = before;
        return total();
      };
      slopes.push_back((moved_by(1e-5) - moved_by(-1e-5)) / 2e-5);
      p.upload(values);
    }
    out.push_back(std::move(slopes));
  }
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(ssiuu_penalty)

BOOST_AUTO_TEST_CASE(exact_gradient_matches_differences_of_the_objective) {
  for (const norm n : {norm::squared, norm::absolute})
    for (const auto& [ref, red] : {std::pair{reference::previous, reduction::batch}, {reference::example, reduction::batch},
                                   {reference::original, reduction::batch}, {reference::example, reduction::example},
                                   {reference::original, reduction::example}, {reference::previous, reduction::example}}) {
      for (const auto& [joint, what] : {std::pair{true, measured::probability}, {false, measured::probability},
                                        {true, measured::log_probability}, {false, measured::log_probability}})
        BOOST_TEST_CONTEXT("norm " << int(n) << " reference " << int(ref) << " reduction " << int(red) << " joint " << joint << " of " << int(what)) {
          const ssiuu_settings s{lambda, n, ref, red, curvature::exact, what};
          BOOST_TEST((worst_error(ssiuu<gradient_difference, attribution::per_parameter>{{}, s, {}}, joint)) <= 1e-5);
          BOOST_TEST((worst_error(ssiuu<gradient_difference, attribution::per_neuron>{{}, s, {}}, joint)) <= 1e-5);
          BOOST_TEST((worst_error(ssiuu<gradient_ascent, attribution::per_neuron>{{}, s, {}}, joint)) <= 1e-5);
        }
    }
}

BOOST_AUTO_TEST_CASE(first_order_leaves_the_hessian_out) {
  const ssiuu_settings s{lambda, norm::squared, reference::previous, reduction::batch, curvature::first_order};
  for (const bool joint : {true, false}) {
    BOOST_TEST((worst_error(ssiuu<gradient_difference, attribution::per_parameter>{{}, s, {}}, joint)) > 1e-3);
    BOOST_TEST((worst_error(ssiuu<gradient_difference, attribution::per_neuron>{{}, s, {}}, joint)) > 1e-3);
  }
}

// Algorithm 1 on paper: A = phi dP/dphi, or phi dlogP/dphi, by differences of the model alone; a neuron's is the sum over its weights and bias.
BOOST_AUTO_TEST_CASE(penalty_and_first_order_gradient_of_p_and_of_log_p) {
  const setting s;
  const std::vector<visit> visits{{s.model, {0, 1, 3}}, {moved(s.model, random_like(s.model, 5), 0.05), {1, 3, 4}}};
  for (const measured what : {measured::probability, measured::log_probability})
    for (const bool joint : {true, false}) {
      const auto found = [&](auto attribution, double weight) {
        const ssiuu_settings settings{.lambda = weight, .measured = what};
        return last_step(ssiuu<gradient_difference, decltype(attribution)>{{}, settings, attribution}, s, visits, joint);
      };
      const auto [terms, gradients] = found(attribution::per_parameter{}, lambda);
      const auto base = found(attribution::per_parameter{}, 0).second;
      const auto before = slopes_of(what, visits[0].at, s, visits[0].ids), now = slopes_of(what, visits[1].at, s, visits[1].ids);
      const auto phi_before = nn::parameters(visits[0].at), phi = nn::parameters(visits[1].at);
      const auto penalty = [](double a, double reference) { return a < 0 ? lambda * (a - reference) * (a - reference) : 0; };
      double by_parameter = 0, by_neuron = 0;
      for (std::size_t l = 0; l < phi.size(); l += 2) {
        const auto neurons = static_cast<std::size_t>(phi[l + 1].size());
        std::vector<double> sum(neurons), sum_before(neurons);
        for (std::size_t p : {l, l + 1})
          for (std::size_t i = 0; i < now[p].size(); ++i) {
            const double a = phi[p].to_vector()[i] * now[p][i], reference = phi_before[p].to_vector()[i] * before[p][i];
            by_parameter += penalty(a, reference);
            const std::size_t neuron = i / (now[p].size() / neurons);
            sum[neuron] += a, sum_before[neuron] += reference;
            const double expected = base[p].to_vector()[i] + (a < 0 ? 2 * lambda * (a - reference) * now[p][i] : 0);
            BOOST_TEST(std::abs(gradients[p].to_vector()[i] - expected) <= 1e-7);
          }
        for (std::size_t i = 0; i < neurons; ++i) by_neuron += penalty(sum[i], sum_before[i]);
      }
      BOOST_TEST(terms.penalty == by_parameter, boost::test_tools::tolerance(1e-6));
      BOOST_TEST(found(attribution::per_neuron{}, lambda).first.penalty == by_neuron, boost::test_tools::tolerance(1e-6));
    }
}

BOOST_AUTO_TEST_CASE(only_the_references_that_count_are_kept) {
  const setting s;
  const auto direction = random_like(s.model, 5);
  const M one = s.model, two = moved(one, direction, 0.05), three = moved(one, direction, 0.1);
  const auto same_steps = [&](const auto& policy, const std::vector<visit>& longer, const std::vector<visit>& shorter, bool penalised) {
    for (const bool joint : {true, false}) {
      const auto a = last_step(policy, s, longer, joint), b = last_step(policy, s, shorter, joint);
      BOOST_TEST((b.first.penalty > 0) == penalised);
      BOOST_TEST(a.first.penalty == b.first.penalty);
      for (std::size_t i = 0; i < a.second.size(); ++i) BOOST_TEST((a.second[i].to_vector() == b.second[i].to_vector()));
    }
  };
  const ssiuu_settings before{lambda, norm::squared, reference::previous, reduction::example, curvature::exact};  // the step before, no older one
  const std::vector<visit> longer{{one, {0, 1}}, {two, {1, 2}}, {three, {0, 1}}}, shorter{longer[1], longer[2]};
  same_steps(ssiuu<gradient_difference, attribution::per_parameter>{{}, before, {}}, longer, shorter, true);
  same_steps(ssiuu<gradient_difference, attribution::per_neuron>{{}, before, {}}, longer, shorter, true);
  const ssiuu_settings example{lambda, norm::squared, reference::example, reduction::batch, curvature::exact};
  const ssiuu<gradient_difference, attribution::per_neuron> policy{{}, example, {}};
  same_steps(policy, {{one, {0, 1}}, {two, {0, 1}}, {three, {3, 4}}}, {{three, {3, 4}}}, false);  // of examples that were not seen before
}

BOOST_AUTO_TEST_CASE(defaults_are_algorithm_1_and_ssiuu_exact_takes_what_it_is_given) {
  const ssiuu_settings plain = ssiuu<>{}.settings;
  BOOST_TEST((plain.norm == norm::squared && plain.reference == reference::previous && plain.reduction == reduction::batch));
  BOOST_TEST((plain.curvature == curvature::first_order && plain.measured == measured::probability));
  const auto p = ssiuu_exact(0.5, gradient_difference{2}, attribution::sites::ffn);
  BOOST_TEST((p.settings.lambda == 0.5 && p.settings.norm == norm::absolute && p.settings.curvature == curvature::exact));
  BOOST_TEST((p.base.retain_weight == 2 && p.attribution.which == attribution::sites::ffn));
}

BOOST_AUTO_TEST_CASE(lambda_zero_is_the_base_loss) {
  const setting s;
  const auto b = setting::chosen(s.forget, {0, 1, 2}), r = setting::chosen(s.retain, {0, 1});
  const std::vector<index_t> ids{0, 1, 2};
  auto plain = start(gradient_difference{2.0}, s.model, std::span<const model::labelled_sample>(s.forget));
  auto penalised = ssiuu<>{{2.0}, {.lambda = 0}, {}}.start(s.model, std::span<const model::labelled_sample>(s.forget));
  for (int step = 0; step < 2; ++step) {
    std::vector<X> g(nn::parameters(s.model).size()), h = g;
    step_sums<X> sums;
    plain(s.model, ids, b, r, g, sums);
    penalised(s.model, ids, b, r, h, sums);
    for (std::size_t i = 0; i < g.size(); ++i)
      for (index_t j = 0; j < g[i].size(); ++j)
        BOOST_TEST(g[i].to_vector()[std::size_t(j)] == h[i].to_vector()[std::size_t(j)], boost::test_tools::tolerance(1e-10));
  }
}

BOOST_AUTO_TEST_CASE(settings_without_meaning_are_refused) {
  const setting s;
  const std::span<const model::labelled_sample> forget(s.forget);
  BOOST_CHECK_THROW((ssiuu<>{{}, {.lambda = -1}, {}}.start(s.model, forget)), error);
  BOOST_CHECK_THROW((ssiuu<>{{}, {.lambda = NAN}, {}}.start(s.model, forget)), error);
  auto per_example = ssiuu<>{{}, {.reduction = reduction::example}, {}}.start(s.model, forget);
  const auto step = [&](const std::vector<index_t>& ids) {
    step_sums<X> sums;
    std::vector<X> gradients(nn::parameters(s.model).size());
    per_example(s.model, ids, setting::chosen(s.forget, ids), setting::chosen(s.retain, {0}), gradients, sums);
  };
  step({0, 1});
  step({1, 2});
  BOOST_CHECK_THROW(step({3, 4}), error);  // the step before held none of these
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(base_losses_are_means_over_tokens_then_examples) {
  const auto a = make_answers(X({2}, std::vector<double>{2, 9}), {1, 3});  // 2 and 3 a token
  const auto value = [](const X& x) { return x.to_vector()[0]; };
  BOOST_TEST(value(gradient_ascent{}.forget(a)) == -2.5);
  BOOST_TEST(value(gradient_difference{3}.forget(a)) == -2.5);
  BOOST_TEST(value(gradient_difference{3}.retain(a)) == 7.5);
  BOOST_TEST(value(fine_tuning{}.retain(a)) == 2.5);
}

namespace {

/// One layer of a family; biases are not 0.
setting_of<model::decoder<X>> decoder_setting(model::decoder_family family) {
  const auto m = model::random_decoder<X>({.family = family, .vocabulary = 8, .width = 8, .layers = 1, .heads = 2, .kv_heads = 2, .head_dim = 4,
                                           .ffn_width = 8, .context = 8, .tied = false}, 3, 1.0);
  return {moved(m, random_like(m, 7), 0.1),
          {{{1, 2, 3, 4}, 2}, {{5, 6, 7}, 2}, {{1, 4}, 1}, {{2, 3, 1}, 1}, {{6, 0, 2, 5, 3}, 3}},
          {{{4, 5, 6}, 2}, {{7, 1, 2, 3}, 1}}};
}

/// dP/dphi of an example alone and A = phi dP/dphi, over all parameters.
struct alone {
  std::vector<double> slope{}, attribution{};
  alone(const M& m, const model::labelled_sample& example) {
    tape<X> recorded;
    std::vector<var<X>> leaves;
    const auto lifted = nn::lifted<var<X>>(m, [&](std::size_t, const X& p) { return leaves.emplace_back(recorded.leaf(p)); });
    const var<X> nll = lifted.nll(m.make_batch(std::array{&example}), nn::no_observer{});
    recorded.pullback(nll, X({1}, std::vector{-std::exp(-nll.value.to_vector()[0])}));
    for (const var<X>& leaf : leaves) {
      const auto phi = leaf.value.to_vector(), g = gradient_of(leaf).to_vector();
      for (std::size_t i = 0; i < g.size(); ++i) slope.push_back(g[i]), attribution.push_back(phi[i] * g[i]);
    }
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(ssiuu_of_other_models)

BOOST_AUTO_TEST_CASE(exact_gradient_of_decoders_matches_differences) {
  for (const auto family : {model::decoder_family::gpt2, model::decoder_family::qwen2}) {
    const auto s = decoder_setting(family);
    for (const norm n : {norm::squared, norm::absolute})
      for (const bool joint : {true, false})
        BOOST_TEST_CONTEXT("family " << int(family) << " norm " << int(n) << " joint " << joint) {
          const ssiuu_settings of{lambda, n, reference::previous, reduction::batch, curvature::exact};
          BOOST_TEST((worst_error(ssiuu<gradient_difference, attribution::per_neuron>{{}, of, {}}, joint, s)) <= 1e-5);
        }
  }
}

BOOST_AUTO_TEST_CASE(first_order_by_example_is_the_sum_of_each_examples_slope) {
  const setting s;
  const M first = s.model, second = moved(s.model, random_like(s.model, 5), 0.05);
  const std::vector<index_t> before{0, 1, 3}, now{1, 3, 4};
  const auto flat = [](const std::vector<X>& all) {
    std::vector<double> out;
    for (const X& x : all)
      for (const double v : x.to_vector()) out.push_back(v);
    return out;
  };
  const std::vector<visit> visits{{first, before}, {second, now}};
  const auto base = flat(last_step(gradient_difference{}, s, visits, true).second);
  for (const auto& [ref, red] : {std::pair{reference::previous, reduction::example}, {reference::example, reduction::example},
                                 {reference::original, reduction::example}, {reference::example, reduction::batch}, {reference::original, reduction::batch}})
    BOOST_TEST_CONTEXT("reference " << int(ref) << " reduction " << int(red)) {
      const ssiuu<> policy{{}, {lambda, norm::squared, ref, red, curvature::first_order}, {}};
      const auto found = flat(last_step(policy, s, visits, true).second);
      std::vector<double> total(base.size()), together(base.size()), expected = base;
      std::vector<std::pair<alone, std::vector<double>>> referenced;  // examples with a reference, and A - A_ref
      for (const index_t id : now) {
        const auto& example = s.forget[static_cast<std::size_t>(id)];
        const alone a(second, example), b(first, example);
        std::vector<double> growth;
        for (std::size_t i = 0; i < base.size(); ++i) total[i] += a.attribution[i], growth.push_back(a.attribution[i] - b.attribution[i]);
        if (ref != reference::original && id == 4) continue;  // was not in the step before
        for (std::size_t i = 0; i < base.size(); ++i) together[i] += growth[i];
        referenced.emplace_back(a, growth);
      }
      for (const auto& [a, growth] : referenced)
        for (std::size_t i = 0; i < base.size(); ++i)
          if (total[i] < 0) expected[i] += 2 * lambda * (red == reduction::example ? growth : together)[i] * a.slope[i];
      double moved_by = 0;
      for (std::size_t i = 0; i < base.size(); ++i) {
        BOOST_TEST(std::abs(found[i] - expected[i]) <= 1e-12);
        moved_by = std::max(moved_by, std::abs(found[i] - base[i]));
      }
      BOOST_TEST(moved_by > 1e-4);
    }
}

BOOST_AUTO_TEST_SUITE_END()
