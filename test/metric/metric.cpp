// Likelihoods against the model's own NLL one by one; recall against greedy generation; statistics.
#include <boost/test/unit_test.hpp>

#include <array>
#include <limits>
#include <string>

#include <expunge/metric/likelihood.hpp>
#include <expunge/metric/recall.hpp>
#include <expunge/model/decoder_init.hpp>
#include <expunge/model/generate.hpp>
#include <expunge/model/mlp.hpp>
#include <expunge/tensor/host/buffer_pool.hpp>

using namespace expunge;
using X = tensor<double>;

namespace {

model::decoder<X> some_model() {
  return model::random_decoder<X>({.vocabulary = 12, .width = 16, .layers = 1, .heads = 2, .kv_heads = 1, .head_dim = 8, .ffn_width = 16,
                                   .context = 16, .tied = false}, 3, 1.0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(metrics)

BOOST_AUTO_TEST_CASE(likelihoods_do_not_depend_on_the_batch) {
  const auto m = some_model();
  const std::vector<nn::token_sequence> s{{{1, 2, 3, 4}, 2}, {{5, 6}, 1}, {{7, 8, 9, 10, 11}, 1}};
  const std::span<const nn::token_sequence> all(s);
  const auto one = metric::likelihoods(m, all, 1), three = metric::likelihoods(m, all, 3);
  for (std::size_t i = 0; i < s.size(); ++i) {
    BOOST_TEST(one[i].nll == three[i].nll, boost::test_tools::tolerance(1e-10));
    BOOST_TEST(one[i].length == s[i].answer_length());
    BOOST_TEST(one[i].joint_probability() == std::exp(-one[i].nll), boost::test_tools::tolerance(1e-12));
    BOOST_TEST(one[i].probability() == std::exp(-one[i].nll / static_cast<double>(one[i].length)), boost::test_tools::tolerance(1e-12));
  }
}

BOOST_AUTO_TEST_CASE(likelihoods_of_choices_are_those_of_whole_texts) {
  static_assert(nn::shares_beginnings<model::decoder<X>> && !nn::shares_beginnings<model::mlp<X>>);
  const auto m = some_model();
  const std::vector<nn::token_sequence> s{{{1, 2, 3, 4}, 3}, {{1, 2, 3, 5, 6}, 3}, {{1, 2, 3, 5}, 3}, {{1, 7, 8, 9}, 2}, {{1, 7, 3}, 2}};
  for (const index_t batch : {1, 2, 4, 32}) {
    const auto found = metric::likelihoods(m, std::span<const nn::token_sequence>(s), batch);
    for (std::size_t i = 0; i < s.size(); ++i) {
      const double alone = m.nll(m.make_batch(std::array{&s[i]})).to_vector()[0];
      BOOST_TEST(found[i].nll == alone, boost::test_tools::tolerance(1e-12));
    }
  }
}

BOOST_AUTO_TEST_CASE(recall_is_what_greedy_generation_gives) {
  const auto m = some_model();
  const std::vector<std::vector<std::int32_t>> prompts{{1, 2}, {3}, {4, 5, 6}};
  const auto generated = model::generate(m, std::span<const std::vector<std::int32_t>>(prompts), 3);
  std::vector<nn::token_sequence> right, wrong;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    nn::token_sequence s{prompts[i], std::ssize(prompts[i])};
    s.tokens.insert(s.tokens.end(), generated[i].begin(), generated[i].end());
    right.push_back(s);
    for (std::size_t j = 0; j < 3; ++j) {  // token j is wrong; those behind it are what the model then says
      s.tokens.resize(prompts[i].size());
      while (s.tokens.size() < prompts[i].size() + 3) {
        const std::int32_t next = model::generate(m, std::span<const std::vector<std::int32_t>>(&s.tokens, 1), 1)[0][0];
        s.tokens.push_back((next + (s.tokens.size() == prompts[i].size() + j ? 1 : 0)) % 12);
      }
      wrong.push_back(s);
    }
  }
  BOOST_TEST(metric::share(metric::recalls(m, right)) == 1);
  BOOST_TEST(metric::share(metric::recalls(m, wrong)) == 0);
  const std::vector<std::int32_t> stop{generated[0][0]};
  BOOST_TEST(model::generate(m, std::span<const std::vector<std::int32_t>>(prompts), 3, stop)[0].size() == 1U);
}

BOOST_AUTO_TEST_CASE(recall_and_likelihoods_that_are_not_finite_are_refused) {
  auto m = some_model();
  const std::vector<nn::token_sequence> s{{{1, 2, 0, 0}, 2}, {{1, 2, 3}, 2}};
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    m.final_norm.weight.upload(std::vector<double>(16, bad));
    BOOST_CHECK_EXCEPTION(static_cast<void>(metric::recalls(m, s)), error, [](const error& e) {
      return std::string(e.what()).find("logits are not finite") != std::string::npos;
    });
    BOOST_CHECK_EXCEPTION(static_cast<void>(metric::likelihoods(m, std::span<const nn::token_sequence>(s))), error, [](const error& e) {
      return std::string(e.what()).find("likelihoods are not finite") != std::string::npos;
    });
  }
  auto perceptron = model::random_mlp<tensor<double>>({2, 5, 3}, 1);  // whose activation is relu
  fill(perceptron.layers[0].bias, std::numeric_limits<double>::quiet_NaN());
  BOOST_CHECK_THROW(static_cast<void>(metric::likelihoods(perceptron, std::vector<model::labelled_sample>{{{1, 2}, 0}})), error);
}

BOOST_AUTO_TEST_CASE(recall_in_parts) {
  const auto m = some_model();
  const std::vector<nn::token_sequence> s{{{1, 2, 3, 4}, 2}, {{5, 6}, 1}, {{7, 8, 9, 10, 11}, 1}, {{7, 8, 9}, 2}, {{5, 7}, 1}};
  const auto whole = metric::recalls(m, s);
  for (const index_t batch : {1, 2, 5, 6}) BOOST_TEST((metric::recalls(m, s, batch) == whole));
  for (const index_t batch : {0, -1})
    BOOST_CHECK_EXCEPTION(static_cast<void>(metric::recalls(m, s, batch)), error, [](const error& e) {
      return std::string(e.what()).find("batch is") != std::string::npos;
    });

  constexpr index_t vocabulary = index_t{1} << 20, labels = 33;  // an example has more logits than are held at a time
  const auto large = model::random_decoder<tensor<float>>({.vocabulary = vocabulary, .width = 2, .layers = 1, .heads = 1, .kv_heads = 1,
                                                           .head_dim = 2, .ffn_width = 2, .context = labels}, 1);
  const std::vector<nn::token_sequence> many(2, {std::vector<std::int32_t>(labels + 1, 1), 1});
  auto& pool = host::buffer_pool::instance();
  pool.forget_peak();
  const std::size_t before = pool.peak_bytes();
  BOOST_TEST(metric::recalls(large, many).size() == 2U);
  BOOST_TEST(pool.peak_bytes() - before < 4 * static_cast<std::size_t>(vocabulary * (labels + 1)));
}

BOOST_AUTO_TEST_CASE(choices_and_statistics) {
  using metric::answer_likelihood;
  const std::vector<answer_likelihood> right{{2, 2}, {1.5, 1}}, tie{{2, 2}, {1, 1}}, last_likelier{{2, 2}, {1.5, 1}, {0.5, 1}};
  BOOST_TEST(metric::chooses_right(right));
  BOOST_TEST(!metric::chooses_right(tie));
  BOOST_TEST(!metric::chooses_right(last_likelier));
  const std::vector<double> v{1, 2, 3, 4};
  BOOST_TEST(metric::mean_of(v) == 2.5);
  BOOST_TEST(metric::deviation_of(v) == std::sqrt(5.0 / 3), boost::test_tools::tolerance(1e-12));
  BOOST_TEST(metric::deviation_of(std::span(v).first(1)) == 0);
  BOOST_TEST(metric::deviation_of(std::span(v).first(2)) == std::sqrt(0.5), boost::test_tools::tolerance(1e-12));
  BOOST_TEST(metric::mean_of({}) == 0);
  BOOST_TEST(metric::share({}) == 0);
}

BOOST_AUTO_TEST_CASE(recall_of_more_labels_than_logits_are_held_for) {
  constexpr index_t vocabulary = index_t{1} << 20, labels = 33;  // logits of 32 are held
  const auto m = model::random_decoder<tensor<float>>({.vocabulary = vocabulary, .width = 4, .layers = 1, .heads = 1, .kv_heads = 1, .head_dim = 4,
                                                       .ffn_width = 4, .context = labels + 1, .tied = false}, 1, 1.0);
  const std::vector<std::int32_t> prompt{1};
  const auto answer = model::generate(m, std::span(&prompt, 1), labels)[0];
  BOOST_TEST_REQUIRE(answer.size() == std::size_t(labels));
  BOOST_TEST((answer[32] != answer[0] && answer[32] != answer[31]));
  nn::token_sequence s{prompt, 1};
  s.tokens.insert(s.tokens.end(), answer.begin(), answer.end());
  std::vector<nn::token_sequence> both{s, s};
  both[1].tokens[33] = answer[0];
  BOOST_TEST((metric::recalls(m, both, 1) == std::vector{true, false}));
}

BOOST_AUTO_TEST_SUITE_END()
