// LayerNorm kernels against a plain loop, central differences and each other.
#include "expunge/tensor/host/layer_norm.hpp"

#include "finite_difference.hpp"

namespace {

using expunge::index_t;
using expunge_test::arrays;
using expunge_test::pointer;
using expunge_test::values;

template <class T>
struct layer_norm_operation {
  index_t rows, cols;
  T epsilon = static_cast<T>(1e-3);

  [[nodiscard]] std::vector<std::size_t> sizes() const {
    const auto width = static_cast<std::size_t>(cols);
    return {static_cast<std::size_t>(rows) * width, width, width};
  }
  values<T> value(const arrays<T>& in, values<T>& mean, values<T>& rstd) const {
    values<T> y(sizes()[0]);
    mean.resize(static_cast<std::size_t>(rows));
    rstd.resize(mean.size());
    expunge::host::layer_norm<T>(in[0].data(), in[1].data(), in[2].data(), epsilon, rows, cols, y.data(), mean.data(),
                                 rstd.data());
    return y;
  }
  [[nodiscard]] values<T> value(const arrays<T>& in) const {
    values<T> mean, rstd;
    return value(in, mean, rstd);
  }
  [[nodiscard]] values<T> pushforward(const arrays<T>& in, const arrays<T>& din) const {
    values<T> mean, rstd;
    auto dy = value(in, mean, rstd);
    expunge::host::norm_pushforward<T>(in[0].data(), in[1].data(), mean.data(), rstd.data(), pointer(din[0]),
                                             pointer(din[1]), pointer(din[2]), rows, cols, dy.data());
    return dy;
  }
  void pullback(const arrays<T>& in, const values<T>& y_bar, arrays<T>& bars) const {
    values<T> mean, rstd;
    value(in, mean, rstd);
    expunge::host::norm_pullback<T>(in[0].data(), in[1].data(), mean.data(), rstd.data(), y_bar.data(), rows, cols,
                                          pointer(bars[0]), pointer(bars[1]), pointer(bars[2]));
  }
  void pullback_tangent(const arrays<T>& in, const arrays<T>& din, const values<T>& y_bar, const values<T>& dy_bar,
                        arrays<T>& dbars) const {
    values<T> mean, rstd;
    value(in, mean, rstd);
    expunge::host::norm_pullback_tangent<T>(in[0].data(), in[1].data(), mean.data(), rstd.data(), pointer(din[0]),
                                                  pointer(din[1]), y_bar.data(), pointer(dy_bar), rows, cols, pointer(dbars[0]),
                                                  pointer(dbars[1]), pointer(dbars[2]));
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(host_layer_norm)

BOOST_AUTO_TEST_CASE(value_is_the_plain_loop) {
  const layer_norm_operation<double> op{5, 37};
  const auto in = expunge_test::random_arrays<double>(op.sizes(), 7);
  values<double> expected(in[0].size());
  for (std::size_t r = 0; r < 5; ++r) {
    double mean = 0;
    for (std::size_t j = 0; j < 37; ++j) mean += in[0][r * 37 + j] / 37;
    double variance = 0;
    for (std::size_t j = 0; j < 37; ++j) variance += (in[0][r * 37 + j] - mean) * (in[0][r * 37 + j] - mean) / 37;
    for (std::size_t j = 0; j < 37; ++j)
      expected[r * 37 + j] = (in[0][r * 37 + j] - mean) / std::sqrt(variance + 1e-3) * in[1][j] + in[2][j];
  }
  BOOST_TEST(expunge_test::difference(op.value(in), expected) < 1e-13);
}

BOOST_AUTO_TEST_CASE(derivatives_nulls_accumulation_threads_and_float) {
  for (const auto& [rows, cols] : {std::pair<index_t, index_t>{1, 1}, {1, 64}, {7, 33}, {53, 24}, {300, 96}})
    expunge_test::check_operation<layer_norm_operation>(rows, cols);
}

BOOST_AUTO_TEST_SUITE_END()
