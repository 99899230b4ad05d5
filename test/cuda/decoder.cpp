// A decoder's steps in bfloat16 on the device, where gates, queries, keys and values of a base loss have no elements: against the host's in
// float, and what memory they take.
#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

#include <expunge/loss/ssiuu.hpp>
#include <expunge/model/decoder_init.hpp>
#include <expunge/tensor/bfloat16_cuda_storage.hpp>
#include <expunge/unlearn/memory_plan.hpp>
#include <expunge/unlearn/trainer.hpp>

#include "../random_sequences.hpp"
#include "../unlearn/weights.hpp"
#include "memory_lists.hpp"

using namespace expunge;
using rounding_tensor = tensor<float, bfloat16_cuda_storage<float>>;

BOOST_AUTO_TEST_SUITE(cuda_decoder)

BOOST_AUTO_TEST_CASE(steps_in_bfloat16_are_the_hosts_but_for_rounding) {
  const auto sequences = [](std::uint64_t seed) { return testing::random_sequences(seed, 4, 9, 4, 64); };
  const auto trained = [&]<class X>(const model::decoder_config& c, const auto& policy, index_t steps) {
    auto m = model::random_decoder<X>(c, 1);
    unlearn::trainer(m, policy, optim::sgd{.learning_rate = 0.5}, {.batch = 4}).run(sequences(1), sequences(2), unlearn::after_steps(steps));
    return testing::flat(m);
  };
  const auto check = [&](const std::string& what, const model::decoder_config& c, const auto& policy) {
    const auto start = trained.template operator()<tensor<float>>(c, policy, 0), host = trained.template operator()<tensor<float>>(c, policy, 2);
    const auto rounded = trained.template operator()<rounding_tensor>(c, policy, 2);
    const double moved = testing::distance(host, start), apart = testing::distance(rounded, host);
    BOOST_TEST(apart <= 5e-2 * moved, what << ": " << apart / moved);
    BOOST_TEST(apart > 1e-4 * moved, what);
    return rounded;
  };
  model::decoder_config llama{.vocabulary = 64, .width = 32, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 8, .ffn_width = 48, .context = 16, .tied = true};
  const auto first = check("gd", llama, loss::gradient_difference{}), second = check("gd", llama, loss::gradient_difference{});
  BOOST_TEST((first == second));
  check("first order", llama, loss::ssiuu<>{});
  check("exact per parameter", llama, loss::ssiuu<>{{}, {.curvature = attribution::curvature::exact}, {}});
  check("exact per neuron", llama, loss::ssiuu_exact(0.5));
  llama.head_dim = 4;  // tensor cores do not take such heads
  check("gd, small heads", llama, loss::gradient_difference{});
  model::decoder_config gpt2 = llama;
  gpt2.family = model::decoder_family::gpt2;
  gpt2.kv_heads = gpt2.heads;
  gpt2.head_dim = 8;
  check("gd, gpt2", gpt2, loss::gradient_difference{});
  check("first order, gpt2", gpt2, loss::ssiuu<>{});
  check("exact per neuron, gpt2", gpt2, loss::ssiuu_exact(0.5));
}

BOOST_AUTO_TEST_CASE(the_memory_plan_holds_what_a_step_takes) {
  const model::decoder_config llama{.vocabulary = 256, .width = 64, .layers = 3, .heads = 4, .kv_heads = 2, .head_dim = 16, .ffn_width = 192, .context = 48, .tied = true};
  const auto forget = testing::random_sequences(1, 2, 48, 40, 256), retain = testing::random_sequences(2, 2, 48, 40, 256);
  const auto check = [&](const char* what, const auto& policy) {
    const optim::adamw optimizer{};
    const auto plan = unlearn::plan_memory<rounding_tensor>(llama, policy, optimizer, 2, unlearn::largest_batch(forget, 2), unlearn::largest_batch(retain, 2));
    cuda::forget_peak();
    const std::size_t before = cuda::peak_bytes();
    {
      auto m = model::random_decoder<rounding_tensor>(llama, 1);
      unlearn::trainer(m, policy, optimizer, {.batch = 2, .order = unlearn::order::given}).run(forget, retain, unlearn::after_steps(2));
    }
    const double real = static_cast<double>(cuda::peak_bytes() - before), planned = static_cast<double>(plan.total());
    BOOST_TEST(planned > 0.97 * real, what << ": " << planned << " bytes planned, " << real << " used");
    BOOST_TEST(planned < 1.15 * real, what << ": " << planned << " bytes planned, " << real << " used");
  };
  cuda::keep_freed(false);  // lists lend pieces that are a little too large
  check("gd", loss::gradient_difference{});
  check("exact per neuron", loss::ssiuu_exact(0.5));
  testing::use_memory_lists();
}

BOOST_AUTO_TEST_SUITE_END()
