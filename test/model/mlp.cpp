// What makes no multi-layer perceptron is refused.
#include <boost/test/unit_test.hpp>

#include <array>
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

BOOST_AUTO_TEST_SUITE_END()
