// The fast path of a step, forget and retain examples in one pass that runs common beginnings once, against the plain one, each set by itself and
// each example with rows of its own: the same weights.
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include <expunge/autodiff/cross_entropy.hpp>
#include <expunge/autodiff/linear.hpp>
#include <expunge/loss/ssiuu.hpp>
#include <expunge/model/decoder_init.hpp>
#include <expunge/model/mlp.hpp>
#include <expunge/unlearn/trainer.hpp>

#include "../storages.hpp"
#include "weights.hpp"

using namespace expunge;
using testing::distance, testing::flat;

namespace {

/// Sequences that begin with the first tokens of `beginning`, most of them.
std::vector<nn::token_sequence> sequences(std::uint64_t seed, std::size_t count, const std::vector<std::int32_t>& beginning = {}) {
  philox g(seed);
  std::vector<nn::token_sequence> out(count);
  for (auto& s : out) {
    if (!beginning.empty()) s.tokens.assign(beginning.begin(), beginning.end() - uniform_below(g, static_cast<std::uint32_t>(beginning.size())));
    const index_t length = 5 + static_cast<index_t>(uniform_below(g, 9)), answer = 1 + static_cast<index_t>(uniform_below(g, 3));
    for (index_t i = 0; i < length; ++i) s.tokens.push_back(static_cast<std::int32_t>(uniform_below(g, 32)));
    s.answer_begin = std::ssize(s.tokens) - answer;
  }
  return out;
}

/// A linear classifier whose weight is made from parameters and constants, as in a low-rank adaptation or with a mask: these have no rows of
/// the batch, and two that are added have one cotangent.
template <class V>
struct factored {
  using value_type = V;
  using X = tensor_of<V>;
  using example_type = model::labelled_sample;
  using batch_type = model::sample_batch<X>;
  V left{}, right{}, base{}, shift{};
  X frozen{}, mask{};

  [[nodiscard]] batch_type make_batch(std::span<const example_type* const> examples) const {
    model::mlp<X> shape_of;
    shape_of.layers.push_back({zeros<X>({primal_of(left).rows(), primal_of(right).cols()}), {}});
    return shape_of.make_batch(examples);
  }
  template <class Observer = nn::no_observer>
  V nll(const batch_type& batch, const Observer& observe = {}) const {
    const V weight = V{mask} * tanh(matmul(left, right) + (base + shift) + V{frozen});
    return cross_entropy(observe(nn::site{0, nn::module::hidden}, linear(V{batch.features}, weight), batch.offsets), batch.labels);
  }
  template <class U>
  [[nodiscard]] factored<U> rebound() const {
    return {{}, {}, {}, {}, frozen, mask};
  }
  template <class F, class M, class... R>
  static void visit(const nn::name_path& at, const F& f, M& m, R&... r) {
    f(at / "left", m.left, r.left...);
    f(at / "right", m.right, r.right...);
    f(at / "base", m.base, r.base...);
    f(at / "shift", m.shift, r.shift...);
  }
};

template <class M, class Loss>
std::vector<double> trained(const M& start, const std::vector<typename M::example_type>& forget, const std::vector<typename M::example_type>& retain,
                            const Loss& policy, bool joint) {
  M m = nn::copy_of(start);
  if constexpr (requires { m.share_beginnings; }) m.share_beginnings = joint;
  unlearn::trainer(m, policy, optim::sgd{.learning_rate = 0.05, .momentum = 0.5}, {.batch = 4, .retain_batch = 3, .order = unlearn::order::given, .joint = joint})
      .run(forget, retain, unlearn::after_steps(4));
  return flat(m);
}

template <class M>
void check(const M& start, const std::vector<typename M::example_type>& forget, const std::vector<typename M::example_type>& retain, double lambda = 0.3) {
  using attribution::curvature, attribution::per_neuron, attribution::per_parameter;
  const double tolerance = sizeof(typename M::value_type::value_type) == 8 ? 1e-12 : 1e-5;
  const auto agree = [&](const std::string& name, const auto& policy) {
    BOOST_TEST_CONTEXT(name) {
      const auto fast = trained(start, forget, retain, policy, true);
      BOOST_TEST(distance(fast, trained(start, forget, retain, policy, false)) <= tolerance);
      return fast;
    }
    return std::vector<double>{};
  };
  const auto gd = agree("gradient difference", loss::gradient_difference{});
  agree("gradient ascent", loss::gradient_ascent{});
  for (const auto c : {curvature::first_order, curvature::exact})
    for (const auto n : {loss::norm::squared, loss::norm::absolute}) {
      const loss::ssiuu_settings s{.lambda = lambda, .norm = n, .curvature = c};
      const std::string name = std::string(c == curvature::exact ? "exact" : "first order") + (n == loss::norm::squared ? ", squared" : ", absolute");
      BOOST_TEST(distance(agree("parameters, " + name, loss::ssiuu<>{{}, s, {}}), gd) > 1e-6);
      BOOST_TEST(distance(agree("neurons, " + name, loss::ssiuu<loss::gradient_difference, per_neuron>{{}, s, {}}), gd) > 1e-6);
      agree("parameters on gradient ascent, " + name, loss::ssiuu<loss::gradient_ascent, per_parameter>{{}, s, {}});
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(joint)

BOOST_AUTO_TEST_CASE_TEMPLATE(decoders, X, testing::tensors) {
  for (const auto family : {model::decoder_family::llama, model::decoder_family::gpt2})
    for (const bool tied : {true, false})
      BOOST_TEST_CONTEXT("gpt2 " << (family == model::decoder_family::gpt2) << ", tied " << tied)
      check(model::random_decoder<X>({.family = family, .vocabulary = 32, .width = 16, .layers = 2, .heads = 4,
                                      .kv_heads = family == model::decoder_family::gpt2 ? 4 : 2, .head_dim = 4, .ffn_width = 24, .context = 32,
                                      .tied = tied}, 3, 0.4),
            sequences(1, 6), sequences(2, 7));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(decoders_and_examples_that_begin_alike, X, testing::tensors) {
  const std::vector<std::int32_t> question{1, 2, 3, 4, 5, 6, 7, 8, 9};
  auto forget = sequences(1, 6, question), retain = sequences(2, 7, question);
  retain[1].tokens = retain[0].tokens;                     // a text twice, with other labels,
  retain[1].answer_begin = retain[0].answer_begin - 2;
  forget[2] = forget[1], forget[2].tokens.back() = 31;     // a question with two answers,
  forget[3].tokens.assign(forget[0].tokens.begin(), forget[0].tokens.end() - 1);  // one that is the beginning of another,
  forget[3].answer_begin = std::ssize(forget[3].tokens) - 1;
  for (const auto family : {model::decoder_family::llama, model::decoder_family::gpt2}) {
    auto m = model::random_decoder<X>({.family = family, .vocabulary = 32, .width = 16, .layers = 2, .heads = 4,
                                       .kv_heads = family == model::decoder_family::gpt2 ? 4 : 2, .head_dim = 4, .ffn_width = 24, .context = 32}, 3, 0.4);
    check(m, forget, retain, 10);  // answers are unlikely, and penalties small
    auto other = m;
    other.checkpoint = true, other.label_smoothing = 0.1;
    BOOST_TEST(distance(trained(other, forget, retain, loss::gradient_difference{}, true), trained(other, forget, retain, loss::gradient_difference{}, false)) <=
               (sizeof(typename X::value_type) == 8 ? 1e-12 : 1e-5));
    loss::example_list<model::decoder<X>> all;  // of step 1
    for (std::size_t i = 0; i < 4; ++i) all.push_back(&forget[i]);
    for (std::size_t i = 0; i < 3; ++i) all.push_back(&retain[i]);
    m.share_beginnings = true;
    const auto together = m.make_training_batch(all, 0), apart = m.make_training_batch(all, 4);
    BOOST_TEST(together.shares_rows());
    BOOST_TEST(together.tokens.size() < apart.tokens.size());  // which the two sets have in common
    BOOST_TEST(!m.make_training_batch(std::span(all).first(1), 0).shares_rows());  // where nothing is saved
    m.share_beginnings = false;
    BOOST_TEST(!m.make_training_batch(all, 0).shares_rows());
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(parameters_made_of_parameters, X, testing::tensors) {
  using T = typename X::value_type;
  philox g(4);
  const auto random = [&](const shape& s) {
    std::vector<T> v(static_cast<std::size_t>(s.size()));
    for (T& x : v) x = static_cast<T>(standard_normal(g));
    return X(s, v);
  };
  std::vector<model::labelled_sample> forget, retain;
  for (int i = 0; i < 7; ++i)
    for (auto* set : {&forget, &retain})
      set->push_back({{standard_normal(g), standard_normal(g), standard_normal(g)}, static_cast<std::int32_t>(uniform_below(g, 7))});
  check(factored<X>{random({7, 2}), random({2, 3}), random({7, 3}), random({7, 3}), random({7, 3}), random({7, 3})}, forget, retain);  // as many classes as the joint batch has rows
}

BOOST_AUTO_TEST_SUITE_END()
