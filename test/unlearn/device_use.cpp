// How a run uses its device: a step waits once and converts an operand once; and where memory runs out, at any
// place, the error says what it was for and the model is that of the last whole step.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include <expunge/loss/ssiuu.hpp>
#include <expunge/model/decoder_init.hpp>
#include <expunge/model/mlp.hpp>
#include <expunge/unlearn/trainer.hpp>

#include "../random_sequences.hpp"
#include "../tensor/watched_storage.hpp"
#include "weights.hpp"

using namespace expunge;
using X = tensor<float, testing::watched_storage<float>>;

namespace {

constexpr index_t plenty = std::numeric_limits<index_t>::max();

std::vector<model::labelled_sample> some(std::uint64_t seed) {
  philox g(seed);
  std::vector<model::labelled_sample> out;
  for (int i = 0; i < 4; ++i)
    out.push_back({{standard_normal(g), standard_normal(g), standard_normal(g)}, static_cast<std::int32_t>(uniform_below(g, 4))});
  return out;
}

const model::decoder_config llama{.vocabulary = 32, .width = 16, .layers = 3, .heads = 4, .kv_heads = 2, .head_dim = 4, .ffn_width = 24, .context = 16, .tied = true};

std::vector<nn::token_sequence> sequences(std::uint64_t seed) {
  return testing::random_sequences(seed, 4, 9, 4, 32);
}

struct outcome {
  std::vector<double> weights;
  std::string message;
};

/// Trains with an allowance of so many tensors.
outcome trained(index_t steps, index_t allowance) {
  auto m = model::random_mlp<X>({3, 8, 4}, 1);
  outcome out;
  testing::allowance = allowance;
  try {
    unlearn::trainer(m, loss::ssiuu_exact(0.5), optim::adamw{.learning_rate = 1e-2}, {.batch = 4})
        .run(some(1), some(2), unlearn::after_steps(steps));
  } catch (const out_of_memory& e) {
    out.message = e.what();
  }
  testing::allowance = plenty;
  out.weights = testing::flat(m);
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(device_use)

BOOST_AUTO_TEST_CASE(a_step_waits_once) {
  auto m = model::random_mlp<X>({3, 8, 4}, 1);
  const auto steps = [&](const auto& policy) {
    const index_t before = testing::downloads;
    unlearn::trainer(m, policy, optim::adamw{}, {.batch = 4}).run(some(1), some(2), unlearn::after_steps(5));
    return testing::downloads - before;
  };
  BOOST_TEST(steps(loss::gradient_difference{}) == 5);
  BOOST_TEST(steps(loss::ssiuu{}) == 5);
  BOOST_TEST(steps(loss::ssiuu<>{{}, {.reference = loss::reference::example, .reduction = loss::reduction::example}, {}}) == 5);
  BOOST_TEST(steps(loss::ssiuu_exact(0.5)) == 5);
}

BOOST_AUTO_TEST_CASE(operands_are_converted_once_and_are_never_old) {
  auto m = model::random_mlp<X>({3, 8, 4}, 1);
  const auto steps = [&](const auto& policy) {
    const index_t before = testing::conversions;
    testing::stale_operands = 0;
    unlearn::trainer(m, policy, optim::adamw{}, {.batch = 4}).run(some(1), some(2), unlearn::after_steps(3));
    BOOST_TEST(testing::stale_operands == 0);
    return testing::conversions - before;
  };
  BOOST_TEST(steps(loss::gradient_difference{}) == 38);
  BOOST_TEST(steps(loss::ssiuu{}) == 45);
  BOOST_TEST(steps(loss::ssiuu<>{{}, {.curvature = attribution::curvature::exact}, {}}) == 53);
  BOOST_TEST(steps(loss::ssiuu_exact(0.5)) == 46);

  X matrix = zeros<X>({2, 2}), product(shape{2, 2});
  const std::vector<X> gradients{product};
  const auto multiply = [&] { gemm(false, false, 1, matrix, matrix, 0, product); };
  const index_t before = testing::conversions;
  multiply();
  float* const first = matrix.mutable_data();
  multiply();
  BOOST_TEST(testing::conversions == before + 2);  // once a product behind a write
  std::vector<X> updated{matrix};
  update_in_place(functor::sgd<float>{1, 1, 0}, updated, std::as_const(gradients));
  multiply();
  BOOST_TEST(testing::conversions == before + 2);  // an update writes both
  *first = 1;                                      // against the rule: behind a product, and is noticed
  multiply();
  BOOST_TEST(testing::stale_operands == 2);
  const X alone = matrix.operand_alone();
  BOOST_TEST(alone.data() == nullptr);
  fill(matrix, 2);
  gemm(false, false, 1, alone, alone, 0, product);  // of what the elements were
  BOOST_TEST(product.to_vector() == std::vector<float>(4, 0), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_products_alone_read_needs_no_elements) {
  model::decoder_config gpt2 = llama;
  gpt2.family = model::decoder_family::gpt2;
  gpt2.kv_heads = gpt2.heads;
  const auto steps = [&]<class V>(const model::decoder_config& c, const auto& policy) {
    auto m = model::random_decoder<V>(c, 1);
    unlearn::trainer(m, policy, optim::adamw{.learning_rate = 1e-3}, {.batch = 3}).run(sequences(1), sequences(2), unlearn::after_steps(3));
    return testing::flat(m);
  };
  using curvature = attribution::curvature;
  const auto check = [&](const auto& policy) {
    testing::stale_operands = 0;
    for (const auto& c : {llama, gpt2}) {
      const std::vector<double> plain = steps.template operator()<tensor<float>>(c, policy);
      BOOST_TEST((steps.template operator()<X>(c, policy) == plain));  // operands are converted to themselves
    }
    BOOST_TEST(testing::stale_operands == 0);
  };
  testing::submitted.clear();
  check(loss::gradient_difference{});
  const auto norms = std::ranges::count(testing::submitted, std::type_index(typeid(primitive::rms_norm)), [](const auto& s) { return s.first; });
  BOOST_TEST(norms == 3 * (2 * llama.layers + 1));  // of three steps: nothing is computed again
  check(loss::ssiuu_exact(0.5));
  for (const auto c : {curvature::first_order, curvature::exact}) check(loss::ssiuu<>{{}, {.curvature = c}, {}});
}

// With the conversions of operands. With few examples a device's host is what takes the time, some 3 us each.
BOOST_AUTO_TEST_CASE(a_step_is_so_many_operations) {
  const auto operations = [&](const auto& policy) {
    auto m = model::random_decoder<X>(llama, 1);
    std::vector<std::size_t> ends;
    testing::submitted.clear();
    const auto count = [&](const auto&) { ends.push_back(testing::submitted.size() + static_cast<std::size_t>(testing::conversions)); };
    unlearn::trainer(m, policy, optim::adamw{}, {.batch = 4, .on_step = count}).run(sequences(1), sequences(2), unlearn::after_steps(3));
    return ends[2] - ends[1];
  };
  BOOST_TEST(operations(loss::gradient_difference{}) == 192U);
  BOOST_TEST(operations(loss::ssiuu<>{}) == 324U);
  BOOST_TEST(operations(loss::ssiuu<>{{}, {.curvature = attribution::curvature::exact}, {}}) == 554U);
  BOOST_TEST(operations(loss::ssiuu_exact(0.5)) == 570U);
}

BOOST_AUTO_TEST_CASE(steps_of_the_same_shapes_submit_the_same_work) {
  const auto check = [](const auto& policy) {
    auto m = model::random_mlp<X>({3, 8, 4}, 1);
    std::vector<std::size_t> ends;
    testing::submitted.clear();
    unlearn::trainer(m, policy, optim::adamw{}, {.batch = 4, .on_step = [&](const auto&) { ends.push_back(testing::submitted.size()); }})
        .run(some(1), some(2), unlearn::after_steps(4));
    const auto work = [&](std::size_t step) {
      return std::vector(testing::submitted.begin() + static_cast<std::ptrdiff_t>(ends[step - 2]),
                         testing::submitted.begin() + static_cast<std::ptrdiff_t>(ends[step - 1]));
    };
    BOOST_TEST(work(3).size() > 20U);
    BOOST_TEST((work(3) == work(4)));
  };
  using curvature = attribution::curvature;
  check(loss::gradient_difference{});
  for (const auto c : {curvature::first_order, curvature::exact})
    for (const auto r : {loss::reference::previous, loss::reference::example, loss::reference::original}) {
      check(loss::ssiuu<>{{}, {.reference = r, .curvature = c}, {}});
      check(loss::ssiuu<loss::gradient_difference, attribution::per_neuron>{{}, {.reference = r, .curvature = c}, {}});
    }
}

BOOST_AUTO_TEST_CASE(running_out_anywhere_names_the_purpose_and_leaves_the_model) {
  const std::vector<std::vector<double>> after{trained(0, 0).weights, trained(1, plenty).weights, trained(2, plenty).weights};
  std::set<std::string> purposes, parts;
  for (index_t allowance = 0;; ++allowance) {
    const outcome o = trained(2, allowance);
    if (o.message.empty()) break;
    const std::string purpose = o.message.substr(0, o.message.find(": "));
    purposes.insert(purpose);
    for (const char* part : {": layer 0: ", ": layer 1: ", ": sweep over layer 0: ", ": sweep over layer 1: "})
      if (o.message.find(part) != std::string::npos) parts.insert(part);
    BOOST_TEST_REQUIRE(o.message.find(": tensor [") != std::string::npos, o.message);
    BOOST_TEST_REQUIRE((o.weights == after[purpose.starts_with("step 2") ? 1 : 0]), o.message);
  }
  for (const char* purpose : {"moments of the optimizer",
                              "step 1 (the model is as it was before the step)", "step 2 (the model is as it was before the step)"})
    BOOST_TEST(purposes.contains(purpose), purpose << " was never named");
  BOOST_TEST(parts.size() == 4U);
  BOOST_TEST((trained(2, plenty).weights == after[2]));
  BOOST_TEST((after[2] != after[1]));
}

BOOST_AUTO_TEST_SUITE_END()
