// Activation checkpointing: the same gradients from less memory, for more work.
#include <boost/test/unit_test.hpp>

#include <vector>

#include <expunge/loss/ssiuu.hpp>
#include <expunge/model/decoder_init.hpp>
#include <expunge/tensor/host/buffer_pool.hpp>
#include <expunge/unlearn/trainer.hpp>

#include "../random_sequences.hpp"
#include "../unlearn/weights.hpp"

using namespace expunge;
using X = tensor<float>;

namespace {

struct result {
  std::vector<double> weights;
  std::size_t bytes;  // the most that were in use beside the model
};

template <class Loss>
result trained(const Loss& policy, model::decoder_family family, bool checkpoint) {
  auto& pool = host::buffer_pool::instance();
  auto m = model::random_decoder<X>({.family = family, .vocabulary = 32, .width = 16, .layers = 8, .heads = 2, .kv_heads = 2, .head_dim = 8,
                                     .ffn_width = 32, .context = 32, .tied = true}, 1, 0.3);
  m.checkpoint = checkpoint;
  pool.forget_peak();
  const std::size_t before = pool.peak_bytes();
  const auto sequences = [](std::uint64_t seed) { return testing::random_sequences(seed, 6, 30, 3, 32); };
  unlearn::trainer(m, policy, optim::sgd{.learning_rate = 0.1}, {.batch = 6}).run(sequences(1), sequences(2), unlearn::after_steps(3));
  const std::size_t bytes = pool.peak_bytes() - before;
  return {testing::flat(m), bytes};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoint)

BOOST_AUTO_TEST_CASE(gives_the_same_bits_from_less_memory) {
  for (const auto family : {model::decoder_family::llama, model::decoder_family::gpt2}) {
    const auto plain = trained(loss::gradient_difference{}, family, false), saving = trained(loss::gradient_difference{}, family, true);
    BOOST_TEST((plain.weights == saving.weights));
    BOOST_TEST(2 * saving.bytes < plain.bytes);
  }
}

BOOST_AUTO_TEST_CASE(is_refused_where_it_has_no_meaning) {
  BOOST_CHECK_THROW(trained(loss::ssiuu_exact(0.1), model::decoder_family::llama, true), error);
}

BOOST_AUTO_TEST_SUITE_END()
