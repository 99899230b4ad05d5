// Batches whose examples share rows, and generation that keeps keys and values, against models that run every row of every text.
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <expunge/attribution/recording.hpp>
#include <expunge/core/random.hpp>
#include <expunge/core/thread_pool.hpp>
#include <expunge/metric/recall.hpp>
#include <expunge/model/decoder_init.hpp>
#include <expunge/model/generate.hpp>

#include "../tensor/masked_storage.hpp"
#include "../larger_error.hpp"

using namespace expunge;
using tensors = boost::mpl::list<tensor<double>, tensor<float>, tensor<double, testing::masked_storage<double>>>;

namespace {

constexpr index_t context = 24;

/// Llama with grouped queries, and GPT-2 with learned positions.
template <class X>
std::vector<model::decoder<X>> models() {
  return {model::random_decoder<X>({.family = model::decoder_family::llama, .vocabulary = 20, .width = 16, .layers = 2, .heads = 4,
                                    .kv_heads = 2, .head_dim = 8, .ffn_width = 24, .context = context}, 3, 1.0),
          model::random_decoder<X>({.family = model::decoder_family::gpt2, .vocabulary = 20, .width = 16, .layers = 2, .heads = 2,
                                    .kv_heads = 2, .head_dim = 8, .ffn_width = 24, .context = context}, 4, 1.0)};
}

std::vector<const nn::token_sequence*> pointers(const std::vector<nn::token_sequence>& s) {
  std::vector<const nn::token_sequence*> out;
  for (const auto& e : s) out.push_back(&e);
  return out;
}

/// Two questions with choices: a beginning shared by all, answers of which one begins another, one text twice, and one with an
/// earlier answer; the last has nothing in common.
const std::vector<nn::token_sequence> choices{{{1, 2, 3, 4, 5}, 4},       {{1, 2, 3, 4, 6}, 4},  {{1, 2, 3, 4, 6, 7, 8}, 4},
                                              {{1, 2, 9, 9, 10, 11}, 4},  {{1, 2, 9, 9, 10, 11}, 4}, {{1, 2, 9, 9, 10, 11}, 2},
                                              {{12, 13}, 1}};

template <class T>
void check_close(const std::vector<T>& a, const std::vector<T>& b) {
  BOOST_REQUIRE(a.size() == b.size());
  T worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = testing::larger_error(worst, std::abs(a[i] - b[i]) / std::max(T{1}, std::abs(b[i])));
  BOOST_TEST(worst <= (sizeof(T) == 4 ? T(1e-5) : T(1e-12)));
}

/// The whole text again for every token.
template <class X>
std::vector<std::int32_t> plain_generation(const model::decoder<X>& m, const std::vector<std::int32_t>& prompt, index_t tokens) {
  nn::token_sequence s{prompt, 0};
  for (index_t i = 0; i < tokens && std::ssize(s.tokens) <= context; ++i) {
    s.answer_begin = std::ssize(s.tokens);
    s.tokens.push_back(0);
    const auto logits = m.logits(m.make_batch(std::array{&s})).to_vector();
    s.tokens.back() = static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  return {s.tokens.begin() + std::ssize(prompt), s.tokens.end()};
}

const std::vector<std::vector<std::int32_t>> prompts{{1, 2, 3}, {1, 2, 3}, {1, 2, 3, 4, 5, 6, 7, 8}, {9}, {9, 1}, {1, 2, 4, 4, 4, 4, 4, 4, 4, 4, 4}};

}  // namespace

BOOST_AUTO_TEST_SUITE(shared_rows)

BOOST_AUTO_TEST_CASE_TEMPLATE(give_the_same_likelihoods, X, tensors) {
  for (const auto& m : models<X>()) {
    const auto shared = m.make_shared_batch(pointers(choices));
    BOOST_TEST((shared.row_counts == std::vector<index_t>{4, 0, 2, 3, 0, 0, 1}));
    const auto plain = m.make_batch(pointers(choices));
    BOOST_TEST(!plain.shares_rows());
    check_close(m.logits(shared).to_vector(), m.logits(plain).to_vector());
    check_close(m.nll(shared).to_vector(), m.nll(plain).to_vector());
  }
}

BOOST_AUTO_TEST_CASE(give_the_same_bits_for_any_number_of_threads) {
  const auto m = models<tensor<float>>()[0];
  const auto run = [&](std::size_t threads) {
    thread_pool::instance().set_threads(threads);
    return m.nll(m.make_shared_batch(pointers(choices))).to_vector();
  };
  BOOST_TEST((run(1) == run(2)));
}

BOOST_AUTO_TEST_CASE(are_refused_where_they_would_be_ignored_or_mistaken) {
  using X = tensor<double>;
  const auto m = models<X>()[0];
  attribution::recording<model::decoder<X>, attribution::per_neuron> by_example({});
  BOOST_CHECK_EXCEPTION(by_example.record(m, m.make_shared_batch(pointers(choices)), {}), error,
                        [](const error& e) { return std::string(e.what()).find("rows of its own (make_batch)") != std::string::npos; });
  BOOST_CHECK_NO_THROW(by_example.record(m, m.make_batch(pointers(choices)), {}));
  attribution::recording<model::decoder<X>, attribution::per_parameter> joint({});
  std::vector<nn::token_sequence> questions(4, {{1, 2, 3, 4, 5, 6, 7}, 6});
  for (std::size_t i = 0; i < 4; ++i) questions[i].tokens[5] = static_cast<std::int32_t>(10 + i);
  BOOST_CHECK_EXCEPTION(joint.record_joint(m, m.make_shared_batch(pointers(questions)), 2), error,  // of which the first two are no group
                        [](const error& e) { return std::string(e.what()).find("nn::training_batch") != std::string::npos; });
  BOOST_CHECK_NO_THROW(joint.record_joint(m, m.make_training_batch(pointers(questions), 2), 2));
  BOOST_CHECK_NO_THROW(joint.record_joint(m, m.make_shared_batch(pointers(questions)), 4));
  by_example.record_joint(m, m.make_training_batch(pointers(questions), 2), 2);
  by_example.attribute(zeros<X>(shape{4}));
  BOOST_CHECK_THROW(by_example.weigh(0, by_example.feature(0)), error);  // of each example
  model::key_value_cache<X> past;
  BOOST_CHECK_THROW(static_cast<void>(m.logits(m.make_batch(pointers(choices)), nn::no_observer{}, &past)), error);
  nn::token_sequence longest{std::vector<std::int32_t>(context + 1, 1), 1}, longer = longest;  // the last token is only a label
  longer.tokens.push_back(1);
  BOOST_CHECK_NO_THROW(static_cast<void>(m.make_shared_batch(std::array{&longest})));
  for (const nn::token_sequence& bad : {nn::token_sequence{{}, 0}, {{1, 2}, 2}, {{1, 20}, 1}, {{-1, 2}, 1}, {{1, -2}, 1}, longer})
    BOOST_CHECK_THROW(static_cast<void>(m.make_shared_batch(std::array{&choices[0], &bad})), error);
  BOOST_CHECK_THROW(static_cast<void>(m.make_shared_batch({})), error);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(generate_what_running_everything_again_does, X, tensors) {
  for (const auto& m : models<X>()) {
    const auto found = model::generate(m, std::span<const std::vector<std::int32_t>>(prompts), 15);  // the longest fills the context
    for (std::size_t i = 0; i < prompts.size(); ++i) BOOST_TEST((found[i] == plain_generation(m, prompts[i], 15)), "prompt " << i);
    BOOST_TEST(std::ssize(found.back()) == context + 1 - 11);
  }
}

BOOST_AUTO_TEST_CASE(generation_fills_the_context_however_long_the_prompt_is) {
  const auto m = models<tensor<double>>()[0];
  for (const index_t length : {context - 2, context - 1, context}) {
    const std::vector prompt(static_cast<std::size_t>(length), 1);
    const auto found = model::generate(m, std::span(&prompt, 1), 9)[0];
    BOOST_TEST(std::ssize(found) == context + 1 - length);
    BOOST_TEST((found == plain_generation(m, prompt, 9)));
    nn::token_sequence whole{prompt, length};  // what it generates, it recalls
    whole.tokens.insert(whole.tokens.end(), found.begin(), found.end());
    BOOST_TEST(metric::recalls(m, std::array{whole})[0]);
  }
}

BOOST_AUTO_TEST_CASE(the_first_of_equal_logits_is_the_likeliest) {
  const auto likeliest = [](const std::vector<double>& logits) { return model::likeliest(std::span(logits)); };
  BOOST_TEST(likeliest({1, 3, 3, 2}) == 1);
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    BOOST_CHECK_THROW(static_cast<void>(likeliest({1, 2, bad})), error);
}

BOOST_AUTO_TEST_CASE(generation_ends_where_it_is_told) {
  const auto m = models<tensor<double>>()[0];
  const std::span<const std::vector<std::int32_t>> all(prompts);
  const auto whole = model::generate(m, all, 6);
  const auto ended = model::generate(m, all, 6, std::vector{whole[2][1]}, [&](std::size_t prompt, const auto& ids) {
    return prompt != 3 || ids.size() < 3;
  });
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const auto stop = std::find(whole[i].begin(), whole[i].end(), whole[2][1]);
    auto expected = std::vector(whole[i].begin(), stop == whole[i].end() ? stop : stop + 1);
    if (i == 3) expected.resize(std::min<std::size_t>(3, expected.size()));
    BOOST_TEST((ended[i] == expected), "prompt " << i);
  }
}

BOOST_AUTO_TEST_CASE(a_batch_runs_only_what_batches_before_it_have_not) {
  const auto m = models<tensor<double>>()[0];
  model::key_value_cache<tensor<double>> past;
  std::vector<std::int32_t> path;
  for (const nn::token_sequence& s : {nn::token_sequence{{1, 2, 3, 4}, 3}, {{1, 2, 3, 4, 5}, 4}, {{1, 2, 3, 4, 5, 6, 7}, 6}}) {
    nn::token_batch_builder<tensor<double>> builder(m.config.vocabulary, context, true, past.rows());
    builder.add(s, path);
    const auto batch = std::move(builder).batch();
    check_close(m.logits(batch, nn::no_observer{}, &past).to_vector(), m.logits(m.make_batch(std::array{&s})).to_vector());
    BOOST_TEST(past.rows() == std::ssize(s.tokens) - 1);
  }
}

BOOST_AUTO_TEST_SUITE_END()
