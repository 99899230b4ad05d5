// Work that repeats, as CUDA graphs: runs end with the bits that they have without, whatever repeats and whatever does not.
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>

#include <functional>
#include <future>
#include <span>
#include <utility>
#include <vector>

#include <expunge/loss/ssiuu.hpp>
#include <expunge/metric/likelihood.hpp>
#include <expunge/model/decoder_init.hpp>
#include <expunge/tensor/bfloat16_cuda_storage.hpp>
#include <expunge/unlearn/trainer.hpp>

#include "../message_of.hpp"
#include "../random_sequences.hpp"
#include "../unlearn/weights.hpp"
#include "memory_lists.hpp"

using namespace expunge;
using float_tensor = tensor<float, cuda_storage<float>>;
using device_tensors = boost::mpl::list<float_tensor, tensor<float, bfloat16_cuda_storage<float>>>;

namespace {

const model::decoder_config llama{.vocabulary = 16, .width = 8, .layers = 2, .heads = 2, .kv_heads = 1, .head_dim = 4, .ffn_width = 12, .context = 8, .tied = true};

/// Of 3 to 6 tokens.
std::vector<nn::token_sequence> ragged(std::uint64_t seed) {
  std::vector<nn::token_sequence> out;
  for (const index_t length : {3, 4, 5, 6}) out.push_back(testing::random_sequences(seed + static_cast<std::uint64_t>(length), 1, length, 2, 16).front());
  return out;
}

/// The weights after `steps` steps.
template <class X, class Loss>
std::vector<double> trained(const Loss& policy, index_t steps, unlearn::trainer_settings settings,
                            const std::function<void(model::decoder<X>&, const unlearn::step_report&)>& behind_step = {}) {
  auto m = model::random_decoder<X>(llama, 1);
  if (behind_step) settings.on_step = [&](const unlearn::step_report& r) { behind_step(m, r); };
  unlearn::trainer(m, policy, optim::adamw{.learning_rate = 1e-2}, settings).run(ragged(1), ragged(2), unlearn::after_steps(steps));
  return testing::flat(m);
}

template <class X, class Loss>
void check_repeated_steps(const Loss& policy) {
  const unlearn::trainer_settings all{.batch = 4};  // in other orders
  const auto expected = trained<X>(policy, 8, all);
  const testing::with_graphs used;
  std::vector<cuda::graph_use> counts;
  const auto found = trained<X>(policy, 8, all, [&](const auto&, const auto&) { counts.push_back(cuda::describe_graphs()); });
  BOOST_TEST((found == expected));
  BOOST_TEST(counts[0].in_graphs == 0U);
  BOOST_TEST(counts[7].given_up == "");
#if __has_builtin(__builtin_clear_padding)  // or bytes without a meaning may differ
  const std::size_t alone = counts[7].alone - counts[6].alone, in_graphs = counts[7].in_graphs - counts[6].in_graphs;
  BOOST_TEST(alone <= 16U);
  BOOST_TEST(in_graphs >= 100U);
  BOOST_TEST(alone + in_graphs == counts[6].alone + counts[6].in_graphs - counts[5].alone - counts[5].in_graphs);
#endif
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_graphs)

BOOST_AUTO_TEST_CASE_TEMPLATE(steps_that_repeat_are_graphs, X, device_tensors) {
  check_repeated_steps<X>(loss::gradient_difference{});
  check_repeated_steps<X>(loss::ssiuu<>{});
  check_repeated_steps<X>(loss::ssiuu<>{{}, {.curvature = attribution::curvature::exact}, {}});
  check_repeated_steps<X>(loss::ssiuu_exact(0.5));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(whatever_comes_between_steps_is_seen, X, device_tensors) {
  using settings = unlearn::trainer_settings;
  const auto sequences = ragged(3);
  std::vector<double> likelihoods;
  const auto interfere = [&](model::decoder<X>& m, const unlearn::step_report& r, bool graphs) {
    for (const auto& l : metric::likelihoods(m, std::span(sequences))) likelihoods.push_back(l.nll);
    if (r.step == 3) m = nn::copy_of(m);
    if (r.step == 5) cuda::release_unused();
    if (r.step == 6 && graphs) cuda::use_graphs(false);
    if (r.step == 7 && graphs) cuda::use_graphs(true);
    if (r.step == 10)
      for (X& p : nn::parameters(m)) map_in_place(functor::scale<float>{1.01F}, p);
  };
  const auto slower = [](index_t step) { return 1.0 / static_cast<double>(step + 1); };
  for (const settings& s : {settings{.batch = 4}, settings{.batch = 3, .order = unlearn::order::given, .schedule = slower}, settings{.batch = 2, .clip = 0.1}}) {
    likelihoods.clear();
    const auto expected = trained<X>(loss::ssiuu_exact(0.5), 13, s, [&](auto& m, const auto& r) { interfere(m, r, false); });
    const auto measured = std::exchange(likelihoods, {});
    const testing::with_graphs used;
    BOOST_TEST((trained<X>(loss::ssiuu_exact(0.5), 13, s, [&](auto& m, const auto& r) { interfere(m, r, true); }) == expected));
    BOOST_TEST(cuda::describe_graphs().in_graphs > 0U);
    BOOST_TEST((likelihoods == measured));
  }
}

BOOST_AUTO_TEST_CASE(products_of_more_kinds_than_are_kept) {
  const auto products = [] {
    device_sum<float_tensor> total = zeros<device_sum<float_tensor>>({1});
    for (index_t m = 1; m <= 65; ++m)
      for (index_t n = 1; n <= 65; ++n) {
        float_tensor a(shape{m, 1}), b(shape{1, n}), product(shape{m, n});
        fill(a, static_cast<float>(m));
        fill(b, static_cast<float>(n));
        gemm(false, false, 1, a, b, 0, product);
        add_map_sum(total, static_cast<double>(m + 100 * n), functor::copy{}, std::as_const(product));
      }
    return total.to_vector();
  };
  const auto expected = products();
  const testing::with_graphs used;
  for (int round = 0; round < 2; ++round) BOOST_TEST((products() == expected));
}

BOOST_AUTO_TEST_CASE(several_threads_submit_at_once) {
  const auto train = [] { return trained<float_tensor>(loss::gradient_difference{}, 6, {.batch = 4}); };
  const auto expected = train();
  const testing::with_graphs used;
  auto beside = std::async(std::launch::async, train);
  BOOST_TEST((train() == expected));
  BOOST_TEST((beside.get() == expected));
  BOOST_TEST((train() == expected));
  BOOST_TEST(cuda::describe_graphs().in_graphs > 0U);
}

BOOST_AUTO_TEST_CASE(waiting_submits_what_was_recorded) {
  const testing::with_graphs used;
  float_tensor x(shape{4});
  fill(x, 1.0F);
  BOOST_TEST(cuda::describe_graphs().alone == 0U);
  cuda::synchronise();
  BOOST_TEST(cuda::describe_graphs().alone == 1U);
}

BOOST_AUTO_TEST_CASE(what_was_submitted_with_graphs_comes_before_what_is_submitted_without) {
  const testing::with_graphs used;
  float_tensor x(shape{4}), other(shape{4});
  const std::vector<float> values(4, 3);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 10; ++i) fill(x, static_cast<float>(i));
    other.upload(values);  // submits them, and does not wait
  }
  BOOST_TEST(cuda::describe_graphs().in_graphs == 20U);
  fill(x, 1.0F);
  cuda::use_graphs(false);
  fill(x, 2.0F);
  BOOST_TEST((x.to_vector() == std::vector<float>(4, 2)));
}

BOOST_AUTO_TEST_CASE(graphs_need_memory_that_is_kept) {
  cuda::keep_freed(false);
  BOOST_TEST(testing::message_of([] { cuda::use_graphs(true); }).find("keep_freed(true)") != std::string::npos);
  {
    const testing::with_graphs used;
    cuda::keep_freed(false);
    BOOST_TEST((zeros<float_tensor>({1000}).to_vector() == std::vector<float>(1000)));
    BOOST_TEST(cuda::describe_graphs().alone == 0U);
  }
  testing::use_memory_lists();
}

BOOST_AUTO_TEST_SUITE_END()
