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

/// A module with a setting and a list.
template <class V>
struct scaled_layers {
  std::vector<nn::linear_layer<V>> layers;
  typename tensor_of<V>::value_type scale = 1;

  V operator()(const V& x) const {
    V y = x;
    for (const auto& layer : layers) y = affine(layer(y), scale);
    return y;
  }
  template <class F, class M, class... R>
  static void visit(const nn::name_path& at, const F& f, M& m, R&... r) {
    for (std::size_t i = 0; i < m.layers.size(); ++i) nn::linear_layer<V>::visit(at[static_cast<index_t>(i)], f, m.layers[i], r.layers[i]...);
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoint)

BOOST_AUTO_TEST_CASE(gives_the_same_bits_from_less_memory) {
  for (const auto family : {model::decoder_family::llama, model::decoder_family::gpt2}) {
    const auto plain = trained(loss::gradient_difference{}, family, false), saving = trained(loss::gradient_difference{}, family, true);
    BOOST_TEST((plain.weights == saving.weights));
    BOOST_TEST(2 * saving.bytes < plain.bytes);
  }
}

BOOST_AUTO_TEST_CASE(a_module_keeps_its_settings) {
  const X x({1, 2}, std::vector<float>{1, 2}), w({2, 2}, std::vector<float>{1, 2, 3, 4});
  const auto run = [](const auto& module, const auto& in) { return module(in); };
  std::vector<std::vector<float>> values, gradients;
  for (const bool checkpoint : {false, true}) {
    tape<X> t;
    const var<X> first = t.leaf(w), second = t.leaf(clone(w));
    const scaled_layers<var<X>> module{{{first, {}}, {second, {}}}, 3};
    const var<X> y = checkpoint ? nn::checkpointed(module, run, var<X>(x)) : run(module, var<X>(x));
    t.pullback(y, X({1, 2}, std::vector<float>{1, -1}));
    values.push_back(y.value.to_vector());
    gradients.push_back(gradient_of(first).to_vector());
  }
  BOOST_TEST(values[1] == values[0], boost::test_tools::per_element());
  BOOST_TEST(gradients[1] == gradients[0], boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(is_refused_where_it_has_no_meaning) {
  BOOST_CHECK_THROW(trained(loss::ssiuu_exact(0.1), model::decoder_family::llama, true), error);
}

BOOST_AUTO_TEST_SUITE_END()
