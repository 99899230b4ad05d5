// The plan, and what one pass or two take, by what the buffer pool really lent at its high-water mark.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <expunge/tensor/bfloat16_cuda_storage.hpp>
#include <expunge/tensor/host/buffer_pool.hpp>
#include <expunge/unlearn/memory_plan.hpp>
#include <expunge/unlearn/trainer.hpp>

#include "../random_sequences.hpp"

using namespace expunge;
using X = tensor<float>;
using rounding = tensor<float, bfloat16_cuda_storage<float>>;

namespace {

/// The bytes that the pool lends at most while f runs, above what it lends already.
template <class F>
double peak_of(const F& f) {
  auto& pool = host::buffer_pool::instance();
  pool.forget_peak();
  const std::size_t before = pool.peak_bytes();
  f();
  return static_cast<double>(pool.peak_bytes() - before);
}

/// Two steps; the plan must hold what they take, and not a quarter more. Of the sequences the first `alike` tokens are the same.
template <class Loss, class Optimizer = optim::adamw>
void check(const char* what, const model::decoder_config& c, const Loss& policy, index_t length, index_t answer, const Optimizer& optimizer = {},
           std::size_t examples = 6, const unlearn::plan_settings& how = {}, index_t alike = 0) {
  auto forget = testing::random_sequences(1, examples, length, answer, 256), retain = testing::random_sequences(2, examples, length, answer, 256);
  for (auto* set : {&forget, &retain})
    for (nn::token_sequence& s : *set) std::fill_n(s.tokens.begin(), alike, 7);
  const index_t batch = 3;
  const auto plan = unlearn::plan_memory(c, policy, optimizer, std::ssize(forget), unlearn::largest_batch(forget, batch), unlearn::largest_batch(retain, batch), how);
  const double real = peak_of([&] {
    auto m = model::random_decoder<X>(c, 1);
    m.checkpoint = how.checkpoint;
    unlearn::trainer(m, policy, optimizer, {.batch = batch, .order = unlearn::order::given, .joint = how.joint}).run(forget, retain, unlearn::after_steps(2));
  });
  const double planned = static_cast<double>(plan.total());
  BOOST_TEST(planned > 0.93 * real, what << ": " << planned << " bytes planned, " << real << " used");
  BOOST_TEST(planned < 1.25 * real, what << ": " << planned << " bytes planned, " << real << " used");
}

template <class Attribution>
using over = loss::ssiuu<loss::gradient_difference, Attribution>;

constexpr model::decoder_config llama{.vocabulary = 256, .width = 64, .layers = 4, .heads = 4, .kv_heads = 2, .head_dim = 16, .ffn_width = 192,
                                      .context = 256, .tied = false};

}  // namespace

BOOST_AUTO_TEST_SUITE(memory_plan)

BOOST_AUTO_TEST_CASE(holds_what_a_step_takes) {
  using enum attribution::curvature;
  using attribution::per_neuron, attribution::per_parameter;
  model::decoder_config gpt2 = llama, vocabulary = llama;
  gpt2.family = model::decoder_family::gpt2;
  gpt2.kv_heads = gpt2.heads;
  vocabulary.vocabulary = 8192;
  vocabulary.tied = true;
  const loss::gradient_difference gd{};
  const auto settings = [](attribution::curvature curvature, loss::reference reference, loss::reduction reduction) {
    return loss::ssiuu_settings{.lambda = 0.1, .reference = reference, .reduction = reduction, .curvature = curvature};
  };
  const auto batch = [&](attribution::curvature curvature) { return settings(curvature, loss::reference::previous, loss::reduction::batch); };
  const auto example = settings(exact, loss::reference::original, loss::reduction::example);
  for (const index_t length : {16, 200}) {  // parameters dominate, activations dominate
    check("gd", llama, gd, length, 3);
    check("gd, sgd", llama, gd, length, 3, optim::sgd{});
    check("gd, momentum", llama, gd, length, 3, optim::sgd{.momentum = 0.9});
    check("gd, gpt2", gpt2, gd, length, 3);
    check("gd, large vocabulary", vocabulary, gd, length, length / 2);
    check("gd, one set after the other", llama, gd, length, 3, optim::adamw{}, 6, {.joint = false});
    for (const bool joint : {true, false}) {
      check("gd, checkpointed", llama, gd, length, 3, optim::adamw{}, 6, {.joint = joint, .checkpoint = true});
      check("gd, checkpointed, gpt2", gpt2, gd, length, 3, optim::adamw{}, 6, {.joint = joint, .checkpoint = true});
      check("gd, checkpointed, large vocabulary", vocabulary, gd, length, length / 2, optim::adamw{}, 6, {.joint = joint, .checkpoint = true});
    }
    for (const auto curvature : {first_order, exact}) {
      for (const index_t alike : {index_t{0}, length / 5}) {
        check("ssiuu per parameter", llama, over<per_parameter>{gd, batch(curvature), {}}, length, 3, optim::adamw{}, 6, {}, alike);
        check("ssiuu per neuron", llama, over<per_neuron>{gd, batch(curvature), {}}, length, 3, optim::adamw{}, 6, {}, alike);
      }
      check("ssiuu per neuron, large vocabulary", vocabulary, over<per_neuron>{gd, batch(curvature), {}}, length, length / 2);
      check("ssiuu per neuron, gpt2", gpt2, over<per_neuron>{gd, batch(curvature), {}}, length, 3);
    }
    check("ssiuu per parameter, one set after the other", llama, over<per_parameter>{gd, batch(first_order), {}}, length, 3, optim::adamw{}, 6, {.joint = false});
    check("ssiuu per parameter by example", llama, over<per_parameter>{gd, example, {}}, length, 3);
    const auto before = settings(first_order, loss::reference::previous, loss::reduction::example);
    check("ssiuu per parameter against the step before", llama, over<per_parameter>{gd, before, {}}, length, 3, optim::sgd{}, 5);
    check("ssiuu per neuron by example", llama, over<per_neuron>{gd, example, {}}, length, 3);
    check("ssiuu per neuron of feed-forward layers", llama, over<per_neuron>{gd, batch(exact), {attribution::sites::ffn}}, length, 3);
    check("ssiuu per neuron of feed-forward layers, first order, gpt2", gpt2, over<per_neuron>{gd, batch(first_order), {attribution::sites::ffn}}, length, 3);
  }
}

BOOST_AUTO_TEST_CASE(sums_over_a_batch_may_have_references_by_example) {
  for (const auto reference : {loss::reference::original, loss::reference::example}) {
    const loss::ssiuu_settings s{.lambda = 0.1, .reference = reference, .reduction = loss::reduction::batch};
    check("ssiuu per parameter", llama, over<attribution::per_parameter>{{}, s, {}}, 16, 3);
    check("ssiuu per neuron", llama, over<attribution::per_neuron>{{}, s, {}}, 16, 3);
  }
}

BOOST_AUTO_TEST_CASE(the_largest_batch_is_of_the_longest_sequences) {
  const std::vector<nn::token_sequence> set{{{1, 2, 3}, 1}, {std::vector<std::int32_t>(9, 1), 8}, {std::vector<std::int32_t>(5, 1), 1}};
  const auto two = unlearn::largest_batch(set, 2), all = unlearn::largest_batch(set, 8);
  BOOST_TEST(two.examples == 2);
  BOOST_TEST(two.rows == 8 + 4);
  BOOST_TEST(two.labels == 4 + 2);
  BOOST_TEST(all.examples == 3);
  BOOST_TEST(all.rows == 2 + 8 + 4);
  BOOST_TEST(two.alike);  // two begin with ones
  BOOST_TEST(!unlearn::largest_batch(std::array{set[0], nn::token_sequence{{2, 2, 3}, 1}}, 2).alike);
}

BOOST_AUTO_TEST_CASE(two_passes_take_less_than_one) {
  const auto forget = testing::random_sequences(1, 2, 200, 3, 256), retain = testing::random_sequences(2, 2, 200, 3, 256);
  auto m = model::random_decoder<X>(llama, 1);
  const auto bytes = [&](bool joint) {
    return peak_of([&] {
      unlearn::trainer(m, loss::gradient_difference{}, optim::sgd{}, {.batch = 2, .joint = joint}).run(forget, retain, unlearn::after_steps(1));
    });
  };
  BOOST_TEST(bytes(false) < 0.75 * bytes(true));
}

BOOST_AUTO_TEST_CASE(counts_parameters_without_making_them) {
  const model::decoder_config eight_billion{.vocabulary = 128256, .width = 4096, .layers = 32, .heads = 32, .kv_heads = 8, .head_dim = 128,
                                            .ffn_width = 14336, .context = 16, .tied = false};
  auto& pool = host::buffer_pool::instance();
  pool.forget_peak();
  const std::size_t before = pool.peak_bytes();
  const auto plan = unlearn::plan_memory(eight_billion, loss::ssiuu{}, optim::adamw{}, 1, {}, {});
  BOOST_TEST(plan.gradients == 4 * 8030261248U);  // Llama 3 8B
  BOOST_TEST(plan.moments == 2 * plan.gradients);
  BOOST_TEST(plan.references == plan.gradients);
  const auto rounded = unlearn::plan_memory<rounding>(eight_billion, loss::ssiuu{}, optim::adamw{}, 1, {}, {});
  BOOST_TEST(rounded.total() == plan.total() + plan.gradients / 2);
  model::decoder_config longest = eight_billion;  // whose rotary angles nobody could compute
  longest.context = (index_t{1} << 31) - 1;
  const std::size_t angles_of_a_position = 128 * 4;
  BOOST_TEST(unlearn::plan_memory(longest, loss::ssiuu{}, optim::adamw{}, 1, {}, {}).weights ==
             plan.weights + static_cast<std::size_t>(longest.context - eight_billion.context) * angles_of_a_position);
  BOOST_TEST(pool.peak_bytes() - before < 1000000U);
}

BOOST_AUTO_TEST_CASE(three_billion_parameters_fit_a_card_of_80_GiB) {  // the table of docs/cuda.md
  const model::decoder_config c{.vocabulary = 128256, .width = 3072, .layers = 28, .heads = 24, .kv_heads = 8, .head_dim = 128,
                                .ffn_width = 8192, .context = 1024, .tied = true};  // Llama 3.2 3B
  const auto gib = [&](const auto& policy, const unlearn::batch_size& each) {
    const auto plan = unlearn::plan_memory<rounding>(c, policy, optim::adamw{}, 100, each, each);
    BOOST_TEST(plan.gradients == 4 * std::size_t{3212749824});
    return static_cast<double>(plan.total()) / (1U << 30U);
  };
  for (const unlearn::batch_size each : {unlearn::batch_size{8, 100, 30}, unlearn::batch_size{1, 1023, 1023}}) {
    BOOST_TEST(gib(loss::gradient_difference{}, each) < 54.2);
    BOOST_TEST(gib(loss::ssiuu_exact(1), each) < 65);
    BOOST_TEST(gib(loss::ssiuu{}, each) < 78.1);
  }
}

BOOST_AUTO_TEST_CASE(a_run_that_does_not_fit_is_refused_with_the_bytes) {
  const unlearn::memory_plan plan{.weights = 2000000000, .gradients = 2000000000, .moments = 4000000000, .references = 0, .attributions = 0, .activations = 300000000, .rounded = 200000000};
  BOOST_CHECK_NO_THROW(unlearn::require_room(plan, 8500000000, "device 0"));
  const auto complete = [](const error& e) {
    const std::string text = e.what();
    for (const char* part : {"about 8.5 GB", "weights 2.0 GB", "moments 4.0 GB", "activations 300.0 MB", "rounded weights 200.0 MB", "device 0 (a card) has 8499 MB", "smaller batch"})
      if (text.find(part) == std::string::npos) return BOOST_TEST_MESSAGE(part << " is not in: " << text), false;
    return true;
  };
  BOOST_CHECK_EXCEPTION(unlearn::require_room(plan, 8499999999, "device 0 (a card)"), error, complete);
}

BOOST_AUTO_TEST_SUITE_END()
