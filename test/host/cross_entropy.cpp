// Cross-entropy kernels against a plain loop, central differences and each other.
#include "expunge/tensor/host/cross_entropy.hpp"

#include "finite_difference.hpp"

namespace {

using expunge::index_t;
using expunge_test::arrays;
using expunge_test::pointer;
using expunge_test::values;

template <class T>
struct cross_entropy_operation {
  index_t rows, cols;
  double smoothing;

  [[nodiscard]] std::vector<std::size_t> sizes() const { return {static_cast<std::size_t>(rows * cols)}; }
  [[nodiscard]] std::vector<std::int32_t> labels() const {
    std::vector<std::int32_t> made;
    for (index_t r = 0; r < rows; ++r) made.push_back(static_cast<std::int32_t>((cols - 1 + 5 * r) % cols));
    return made;
  }
  [[nodiscard]] T s() const { return static_cast<T>(smoothing); }
  values<T> value(const arrays<T>& in, values<T>& lse) const {
    values<T> nll(static_cast<std::size_t>(rows));
    lse.resize(nll.size());
    expunge::host::cross_entropy<T>(in[0].data(), labels().data(), s(), rows, cols, nll.data(), lse.data());
    return nll;
  }
  [[nodiscard]] values<T> value(const arrays<T>& in) const {
    values<T> lse;
    return value(in, lse);
  }
  [[nodiscard]] values<T> pushforward(const arrays<T>& in, const arrays<T>& din) const {
    values<T> lse;
    auto dnll = value(in, lse);
    expunge::host::cross_entropy_pushforward<T>(in[0].data(), labels().data(), s(), lse.data(), pointer(din[0]), rows, cols,
                                                dnll.data());
    return dnll;
  }
  void pullback(const arrays<T>& in, const values<T>& nll_bar, arrays<T>& bars) const {
    values<T> lse;
    value(in, lse);
    expunge::host::cross_entropy_pullback<T>(in[0].data(), labels().data(), s(), lse.data(), nll_bar.data(), rows, cols,
                                             pointer(bars[0]));
  }
  void pullback_tangent(const arrays<T>& in, const arrays<T>& din, const values<T>& nll_bar, const values<T>& dnll_bar,
                        arrays<T>& dbars) const {
    values<T> lse;
    value(in, lse);
    expunge::host::cross_entropy_pullback_tangent<T>(in[0].data(), labels().data(), s(), lse.data(), pointer(din[0]),
                                                     nll_bar.data(), pointer(dnll_bar), rows, cols, pointer(dbars[0]));
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(host_cross_entropy)

BOOST_AUTO_TEST_CASE(value_is_the_plain_loop) {
  for (const double smoothing : {0.0, 0.1}) {
    const cross_entropy_operation<double> op{5, 37, smoothing};
    const auto in = expunge_test::random_arrays<double>(op.sizes(), 7);
    const auto labels = op.labels();
    values<double> expected;
    values<double> expected_lse;
    for (std::size_t r = 0; r < 5; ++r) {
      double sum = 0;
      double under_target = 0;
      for (std::size_t j = 0; j < 37; ++j) {
        const double z = in[0][r * 37 + j];
        sum += std::exp(z);
        under_target += ((static_cast<int>(j) == labels[r] ? 1 - smoothing : 0) + smoothing / 37) * z;
      }
      expected_lse.push_back(std::log(sum));
      expected.push_back(std::log(sum) - under_target);
    }
    values<double> lse;
    BOOST_TEST(expunge_test::difference(op.value(in, lse), expected) < 1e-13);
    BOOST_TEST(expunge_test::difference(lse, expected_lse) < 1e-13);
  }
}

BOOST_AUTO_TEST_CASE(large_logits_do_not_overflow) {
  const cross_entropy_operation<float> op{1, 3, 0};
  const arrays<float> in{{1000, 1001, 999}};
  const auto expected = std::log(std::exp(1.0) + std::exp(2.0) + 1.0);
  BOOST_TEST(op.value(in)[0] == static_cast<float>(expected), boost::test_tools::tolerance(1e-6F));  // the label is 2
}

BOOST_AUTO_TEST_CASE(sure_answers_keep_their_digits) {
  // Logits whose label has probability 1 - 1e-4, and tangents: in float every derivative has nearly all of float's digits.
  for (const double smoothing : {0.0, 0.125}) {
    const cross_entropy_operation<double> high{1, 700, smoothing};
    const cross_entropy_operation<float> low{1, 700, smoothing};
    arrays<double> in = expunge_test::random_arrays<double>(high.sizes(), 3), along = expunge_test::random_arrays<double>(high.sizes(), 4);
    in[0][699] = 17;
    const auto rounded = [](const arrays<double>& a) { return arrays<float>{values<float>(a[0].begin(), a[0].end())}; };
    const arrays<float> in_low = rounded(in), along_low = rounded(along);
    const auto widened = [](const arrays<float>& a) { return arrays<double>{values<double>(a[0].begin(), a[0].end())}; };
    in = widened(in_low), along = widened(along_low);
    arrays<double> bars{values<double>(700)}, dbars = bars;
    arrays<float> bars_low{values<float>(700)}, dbars_low = bars_low;
    high.pullback(in, {1}, bars), low.pullback(in_low, {1}, bars_low);
    high.pullback_tangent(in, along, {1}, {0.5}, dbars), low.pullback_tangent(in_low, along_low, {1}, {0.5F}, dbars_low);
    const double close = 3e-6;
    BOOST_TEST(static_cast<double>(bars_low[0][699]) == bars[0][699], boost::test_tools::tolerance(close));
    BOOST_TEST(static_cast<double>(dbars_low[0][699]) == dbars[0][699], boost::test_tools::tolerance(close));
    BOOST_TEST(static_cast<double>(low.pushforward(in_low, along_low)[0]) == high.pushforward(in, along)[0], boost::test_tools::tolerance(close));
  }
}

BOOST_AUTO_TEST_CASE(derivatives_nulls_accumulation_threads_and_float) {
  for (const double smoothing : {0.0, 0.125})
    for (const auto& [rows, cols] : {std::pair<index_t, index_t>{1, 1}, {1, 64}, {7, 33}, {60, 611}})
      expunge_test::check_operation<cross_entropy_operation>(rows, cols, smoothing);
}

BOOST_AUTO_TEST_CASE(a_vocabulary_of_49152) {
  const auto low = expunge_test::run_all<float>(cross_entropy_operation<float>{2, 49152, 0.1});
  const auto high = expunge_test::run_all<double>(cross_entropy_operation<double>{2, 49152, 0.1});
  BOOST_TEST(expunge_test::difference(low.value, high.value) < 1e-5);
  BOOST_TEST(expunge_test::difference(low.dy, high.dy) < 1e-4);
  BOOST_TEST(expunge_test::difference(low.bars[0], high.bars[0]) < 1e-6);
  BOOST_TEST(expunge_test::difference(low.dbars[0], high.dbars[0]) < 1e-6);
}

BOOST_AUTO_TEST_SUITE_END()
