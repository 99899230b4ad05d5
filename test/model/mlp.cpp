// What makes no multi-layer perceptron is refused.
#include <boost/test/unit_test.hpp>

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include <expunge/model/mlp.hpp>

using namespace expunge;
using X = tensor<float>;

BOOST_AUTO_TEST_SUITE(mlp)

BOOST_AUTO_TEST_CASE(widths_are_positive) {
  const auto says_width = [](const error& e) { return std::string(e.what()).find("width") != std::string::npos; };
  for (const std::vector<index_t>& widths : {std::vector<index_t>{}, {4}, {4, 0, 2}, {4, -3, 2}, {0, 2}, {4, -1}})
    BOOST_CHECK_EXCEPTION(static_cast<void>(model::random_mlp<X>(widths, 1)), error, says_width);
  BOOST_TEST(model::random_mlp<X>({4, 2}, 1).layers.size() == 1U);
}

BOOST_AUTO_TEST_CASE(a_model_without_layers_takes_no_batch) {
  const model::labelled_sample sample{{1, 2}, 0};
  BOOST_CHECK_THROW(static_cast<void>(model::mlp<X>{}.make_batch(std::array{&sample})), error);
}

BOOST_AUTO_TEST_CASE(samples_of_another_shape_are_refused) {
  const auto m = model::random_mlp<X>({2, 3}, 1);
  const auto takes = [&](const model::labelled_sample& sample) { static_cast<void>(m.make_batch(std::array{&sample})); };
  BOOST_CHECK_NO_THROW(takes({{1, 2}, 2}));
  for (const model::labelled_sample& bad : {model::labelled_sample{{1, 2}, 3}, {{1, 2}, -1}, {{1}, 0}, {{1, 2, 3}, 0}}) BOOST_CHECK_THROW(takes(bad), error);
  const model::labelled_sample one{{1}, 0}, three{{1, 2, 3}, 0};
  BOOST_CHECK_THROW(static_cast<void>(m.make_batch(std::array{&one, &three})), error);
}

BOOST_AUTO_TEST_CASE(logits_are_not_activated) {
  model::mlp<X> m = model::random_mlp<X>({1, 1, 1}, 1);
  for (auto& layer : m.layers) layer.weight.upload(std::vector<float>{-1});
  const model::labelled_sample two{{2}, 0}, minus{{-2}, 0};
  BOOST_TEST((m.logits(m.make_batch(std::array{&two, &minus})).to_vector() == std::vector<float>{0, -2}));
}

BOOST_AUTO_TEST_CASE(random_weights_are_spread_by_their_inputs_and_no_two_layers_alike) {
  const auto m = model::random_mlp<X>({64, 16, 64}, 1);
  for (const auto& layer : m.layers) {
    double sum = 0;
    for (const float v : layer.weight.to_vector()) sum += static_cast<double>(v) * static_cast<double>(v);
    BOOST_TEST(std::abs(sum / static_cast<double>(layer.weight.size()) * static_cast<double>(layer.weight.cols()) / 2 - 1) < 0.2);
  }
  BOOST_TEST(std::abs(2 * m.layers[0].weight.to_vector()[0] - m.layers[1].weight.to_vector()[0]) > 1e-4F);
}

BOOST_AUTO_TEST_SUITE_END()
