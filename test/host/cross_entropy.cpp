// Cross-entropy kernels against a plain loop, central differences and each other.
#include "expunge/tensor/host/cross_entropy.hpp"

#include "expunge/autodiff/functor.hpp"
#include "finite_difference.hpp"

namespace {

using expunge::index_t;
using expunge_test::arrays;
using expunge_test::pointer;
using expunge_test::values;

/// The kernels and the functors between them as one operation, over a vocabulary in ranges.
template <class T>
struct cross_entropy_operation {
  index_t rows, cols;
  double smoothing;
  index_t range = 10;

  struct statistics {
    values<T> lse, others, label, total, nll, dlabel, beyond, dtotal, dnll;
  };

  [[nodiscard]] std::vector<std::size_t> sizes() const { return {static_cast<std::size_t>(rows * cols)}; }
  [[nodiscard]] std::vector<std::int32_t> labels() const {
    std::vector<std::int32_t> made;
    for (index_t r = 0; r < rows; ++r) made.push_back(static_cast<std::int32_t>((cols - 1 + 5 * r) % cols));
    return made;
  }
  [[nodiscard]] T s() const { return static_cast<T>(smoothing); }
  [[nodiscard]] T floor() const { return s() / static_cast<T>(cols); }

  /// f(first, width, columns), where columns(matrix) copies the range out of a whole matrix.
  template <class F>
  void for_ranges(const F& f) const {
    for (index_t first = 0; first < cols; first += range) {
      const index_t width = std::min(range, cols - first);
      f(first, width, [&, first, width](const values<T>& whole) {
        values<T> part;
        for (index_t r = 0; r < rows; ++r)
          part.insert(part.end(), whole.begin() + r * cols + first, whole.begin() + r * cols + first + width);
        return part;
      });
    }
  }
  void add(const values<T>& part, index_t first, index_t width, values<T>& whole) const {
    for (index_t r = 0; r < rows && !whole.empty(); ++r)
      for (index_t j = 0; j < width; ++j) whole[static_cast<std::size_t>(r * cols + first + j)] += part[static_cast<std::size_t>(r * width + j)];
  }

  [[nodiscard]] statistics run(const values<T>& z, const values<T>& dz) const {
    const values<T> none(static_cast<std::size_t>(rows));
    statistics out{none, none, none, none, none, none, none, none, none};
    for_ranges([&](index_t first, index_t width, const auto& columns) {
      const auto part = columns(z);
      expunge::host::softmax_statistics<T>(part.data(), labels().data(), first, rows, width, out.lse.data(), out.others.data(), out.label.data(),
                                           smoothing != 0 ? out.total.data() : nullptr);
    });
    const expunge::functor::cross_entropy_value<T> value{s(), static_cast<T>(cols)};
    for (std::size_t r = 0; r < none.size(); ++r) value(out.nll[r], out.lse[r], out.others[r], out.label[r], out.total[r]);
    if (dz.empty()) return out;
    for_ranges([&](index_t first, index_t width, const auto& columns) {
      const auto part = columns(z), dpart = columns(dz);
      expunge::host::softmax_statistics_tangent<T>(part.data(), labels().data(), first, out.lse.data(), dpart.data(), rows, width,
                                                   out.beyond.data(), out.dlabel.data(), smoothing != 0 ? out.dtotal.data() : nullptr);
    });
    const expunge::functor::cross_entropy_tangent<T> tangent{s(), static_cast<T>(cols)};
    for (std::size_t r = 0; r < none.size(); ++r) tangent(out.dnll[r], out.beyond[r], out.others[r], out.dlabel[r], out.dtotal[r]);
    return out;
  }

  values<T> value(const arrays<T>& in, values<T>& lse) const {
    const statistics found = run(in[0], {});
    lse = found.lse;
    return found.nll;
  }
  [[nodiscard]] values<T> value(const arrays<T>& in) const { return run(in[0], {}).nll; }
  [[nodiscard]] values<T> pushforward(const arrays<T>& in, const arrays<T>& din) const { return run(in[0], din[0]).dnll; }
  void pullback(const arrays<T>& in, const values<T>& nll_bar, arrays<T>& bars) const {
    const statistics found = run(in[0], {});
    for_ranges([&](index_t first, index_t width, const auto& columns) {
      auto part = columns(in[0]);
      expunge::host::cross_entropy_pullback<T>(part.data(), labels().data(), first, s(), floor(), found.lse.data(), found.others.data(),
                                               nll_bar.data(), rows, width, part.data());  // in place
      add(part, first, width, bars[0]);
    });
  }
  void pullback_tangent(const arrays<T>& in, const arrays<T>& din, const values<T>& nll_bar, const values<T>& dnll_bar,
                        arrays<T>& dbars) const {
    if (din[0].empty()) {  // as the rule does it
      if (!dnll_bar.empty()) pullback(in, dnll_bar, dbars);
      return;
    }
    const statistics found = run(in[0], din[0]);
    for_ranges([&](index_t first, index_t width, const auto& columns) {
      const auto part = columns(in[0]), dpart = columns(din[0]);
      values<T> out(part.size());
      expunge::host::cross_entropy_pullback_tangent<T>(part.data(), labels().data(), first, s(), floor(), found.lse.data(), found.others.data(),
                                                       dpart.data(), found.dlabel.data(), found.beyond.data(), nll_bar.data(), pointer(dnll_bar),
                                                       rows, width, out.data());
      add(out, first, width, dbars[0]);
    });
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

BOOST_AUTO_TEST_CASE(unlikely_and_sure_labels_have_finite_exact_values) {
  for (const float gap : {-300.0F, -20.0F, -5.0F, 0.0F, 12.0F, 40.0F}) {  // the label's logit above the other one
    const cross_entropy_operation<float> low{1, 2, 0, 1};
    const double expected = gap < 0 ? std::log1p(std::exp(static_cast<double>(gap))) - static_cast<double>(gap) : std::log1p(std::exp(-static_cast<double>(gap)));
    BOOST_TEST(static_cast<double>(low.value({{0, gap}})[0]) == expected, boost::test_tools::tolerance(1e-6));
  }
}

BOOST_AUTO_TEST_CASE(masked_logits_may_fill_a_range) {
  constexpr float out = -std::numeric_limits<float>::infinity();
  const cross_entropy_operation<float> op{1, 4, 0, 2};  // the label is 3
  BOOST_TEST(op.value({{out, out, 0, 1}})[0] == std::log1p(std::exp(-1.0F)), boost::test_tools::tolerance(1e-6F));
  BOOST_TEST(op.value({{0, out, out, 1}})[0] == std::log1p(std::exp(-1.0F)), boost::test_tools::tolerance(1e-6F));
}

BOOST_AUTO_TEST_CASE(the_first_label_of_the_next_range_is_not_of_this_one) {
  const values<double> z{1, 2, 3}, one{1}, lse{4}, others{0.5};
  const std::vector<std::int32_t> label{3};
  values<double> largest(1), sum(1), of_label{7}, total(1), out{0, 0, 0, 7};
  expunge::host::softmax_statistics<double>(z.data(), label.data(), 0, 1, 3, largest.data(), sum.data(), of_label.data(), total.data());
  BOOST_TEST(of_label[0] == 7);
  expunge::host::softmax_statistics_tangent<double>(z.data(), label.data(), 0, lse.data(), z.data(), 1, 3, sum.data(), of_label.data(), total.data());
  BOOST_TEST(of_label[0] == 7);
  expunge::host::cross_entropy_pullback<double>(z.data(), label.data(), 0, 0, 0, lse.data(), others.data(), one.data(), 1, 3, out.data());
  BOOST_TEST(out[3] == 7);
  expunge::host::cross_entropy_pullback_tangent<double>(z.data(), label.data(), 0, 0, 0, lse.data(), others.data(), z.data(), one.data(), one.data(),
                                                        one.data(), one.data(), 1, 3, out.data());
  BOOST_TEST(out[3] == 7);
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
      for (const index_t range : {index_t{10}, cols}) expunge_test::check_operation<cross_entropy_operation>(rows, cols, smoothing, range);
}

BOOST_AUTO_TEST_CASE(a_vocabulary_of_49152) {
  const auto low = expunge_test::run_all<float>(cross_entropy_operation<float>{2, 49152, 0.1, 4096});
  const auto high = expunge_test::run_all<double>(cross_entropy_operation<double>{2, 49152, 0.1, 4096});
  BOOST_TEST(expunge_test::difference(low.value, high.value) < 1e-5);
  BOOST_TEST(expunge_test::difference(low.dy, high.dy) < 1e-4);
  BOOST_TEST(expunge_test::difference(low.bars[0], high.bars[0]) < 1e-6);
  BOOST_TEST(expunge_test::difference(low.dbars[0], high.dbars[0]) < 1e-6);
}

BOOST_AUTO_TEST_SUITE_END()
