// Every operation against the derivative oracle, on host storage and on the stand-in for device memory.
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <limits>

#include <expunge/autodiff/attention.hpp>
#include <expunge/autodiff/cross_entropy.hpp>
#include <expunge/autodiff/derivative_oracle.hpp>
#include <expunge/autodiff/elementwise.hpp>
#include <expunge/autodiff/linear.hpp>
#include <expunge/autodiff/linear_cross_entropy.hpp>
#include <expunge/autodiff/norm.hpp>
#include <expunge/autodiff/rows.hpp>

#include "../storages.hpp"

using namespace expunge;
using storages = testing::storages<double>;

namespace {

template <class S>
struct inputs {
  using X = tensor<double, S>;
  using I = typename X::index_tensor;
  philox generator{7};

  X random(const shape& extents, double spread = 1, double shift = 0) {
    std::vector<double> values(static_cast<std::size_t>(extents.size()));
    for (double& v : values) v = shift + spread * standard_normal(generator);
    return X(extents, values);
  }
  static I integers(const std::vector<std::int32_t>& values) { return I(shape{static_cast<index_t>(values.size())}, values); }
};

template <class X, class F>
void check(const F& f, const std::vector<X>& at) {
  const derivative_errors e = check_derivatives<X>(f, at);
  BOOST_TEST(e.jvp <= 1e-6);
  BOOST_TEST(e.gradient <= 1e-6);
  BOOST_TEST(e.hvp <= 1e-5);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(derivatives)

BOOST_AUTO_TEST_CASE_TEMPLATE(linear_and_products, S, storages) {
  inputs<S> in;
  check([](const auto& x) { return linear(x[0], x[1], x[2]); }, std::vector{in.random({5, 7}), in.random({4, 7}), in.random({4})});
  check([](const auto& x) { return tanh(linear(x[0], x[1])); }, std::vector{in.random({3, 6}), in.random({5, 6})});
  check([](const auto& x) { return tanh(linear(x[0], x[1], x[2], x[3])); },
        std::vector{in.random({5, 7}), in.random({4, 7}), in.random({4}), in.random({5, 4})});
  using X = tensor<double, S>;
  const X constant = in.random({3, 4}), weight = in.random({4, 4});
  check([&]<class V>(const std::vector<V>& x) { return linear(tanh(linear(V{constant}, V{weight}, V{}, x[0])), x[1]); },  // onto alone varies
        std::vector{in.random({3, 4}), in.random({2, 4})});
  check([&]<class V>(const std::vector<V>& x) { return tanh(linear(V{constant}, V{weight}, x[0], x[1])); }, std::vector{in.random({4}), in.random({3, 4})});
  check([](const auto& x) { return matmul(x[0], x[1]) * matmul(x[0], x[1]); }, std::vector{in.random({3, 6}), in.random({6, 2})});
}

BOOST_AUTO_TEST_CASE_TEMPLATE(elementwise, S, storages) {
  inputs<S> in;
  const auto a = in.random({3, 11}), b = in.random({3, 11});
  check([](const auto& x) { return tanh(x[0]); }, std::vector{a});
  check([](const auto& x) { return sigmoid(x[0]); }, std::vector{a});
  check([](const auto& x) { return silu(x[0]); }, std::vector{a});
  check([](const auto& x) { return gelu(x[0]); }, std::vector{a});
  check([](const auto& x) { return gelu_tanh(x[0]); }, std::vector{a});
  check([](const auto& x) { return relu(x[0]); }, std::vector{a});
  check([](const auto& x) { return exp(x[0]); }, std::vector{a});
  check([](const auto& x) { return log_sigmoid(x[0]); }, std::vector{a});
  check([](const auto& x) { return log(x[0]); }, std::vector{in.random({9}, 0.1, 2)});
  check([](const auto& x) { return swiglu(x[0], x[1]); }, std::vector{a, b});
  check([](const auto& x) { return x[0] * x[1]; }, std::vector{a, b});
  check([](const auto& x) { return x[0] * x[0] - 3.0 * x[1] + affine(x[0], 2, 5); }, std::vector{a, b});
  check([](const auto& x) { return tanh(-x[0] * 2 + x[1] / 4 - 1); }, std::vector{a, b});
  check([](const auto& x) { return tanh((1 - x[0]) * (0.5 + x[1])); }, std::vector{a, b});
  const auto y = ((1 - -a * 2) / 4 - 3 + (0.5 + b)).to_vector(), of_a = a.to_vector(), of_b = b.to_vector();
  for (std::size_t i = 0; i < y.size(); ++i) BOOST_TEST(std::abs(y[i] - ((1 + 2 * of_a[i]) / 4 - 3 + 0.5 + of_b[i])) < 1e-12);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(what_is_no_number_stays_so, S, storages) {
  using X = tensor<double, S>;
  std::vector<double> values(11, 0.5);
  for (const std::size_t at : {0U, 10U}) values[at] = std::numeric_limits<double>::quiet_NaN();  // in a batch, and behind the last whole one
  const X x({11}, values);
  for (const X& y : {relu(x), tanh(x), sigmoid(x), silu(x), gelu(x), gelu_tanh(x), exp(x), log(x), log_sigmoid(x), swiglu(x, x)}) {
    const auto of = y.to_vector();
    for (std::size_t i = 0; i < of.size(); ++i) BOOST_TEST(std::isnan(of[i]) == std::isnan(values[i]));
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(rows, S, storages) {
  inputs<S> in;
  const auto picked = inputs<S>::integers({2, 0, 2, 1, 2});
  const auto offsets = inputs<S>::integers({0, 1, 4, 5});
  check([&](const auto& x) { return tanh(gather(x[0], picked)); }, std::vector{in.random({3, 4})});
  check([&](const auto& x) { return tanh(segment_sum(x[0], offsets)); }, std::vector{in.random({5, 3})});
  check([&](const auto& x) { return tanh(segment_sum(x[0], offsets)); }, std::vector{in.random({5})});
  check([](const auto& x) { return tanh(sum(x[0] * x[0])); }, std::vector{in.random({2, 3}, 0.2)});
  check([](const auto& x) { return exp(mean(x[0])); }, std::vector{in.random({2, 3})});
}

BOOST_AUTO_TEST_CASE_TEMPLATE(norms, S, storages) {
  inputs<S> in;
  check([](const auto& x) { return rms_norm(x[0], x[1], 1e-5); }, std::vector{in.random({4, 9}), in.random({9})});
  check([](const auto& x) { return layer_norm(x[0], x[1], x[2], 1e-5); },
        std::vector{in.random({4, 9}), in.random({9}), in.random({9})});
}

BOOST_AUTO_TEST_CASE_TEMPLATE(attention_and_rotary, S, storages) {
  inputs<S> in;
  const auto offsets = inputs<S>::integers({0, 4, 5, 11});
  check([&](const auto& x) { return causal_attention(x[0], x[1], x[2], offsets, 4, 2, 0.5); },
        std::vector{in.random({11, 16}), in.random({11, 8}), in.random({11, 8})});
  const auto q = in.random({11, 16}), k = in.random({11, 8}), v = in.random({11, 8});
  const auto last = inputs<S>::integers({2, 3, 9, 10});  // rows behind pasts of 2, 1 (and no rows) and 4
  const auto behind = causal_attention(gather(q, last), k, v, inputs<S>::integers({0, 2, 2, 4}), offsets, 4, 2, 0.5).to_vector();
  const auto whole = gather(causal_attention(q, k, v, offsets, 4, 2, 0.5), last).to_vector();
  for (std::size_t i = 0; i < whole.size(); ++i) BOOST_TEST(std::abs(behind[i] - whole[i]) < 1e-12);
  const auto key_rows = inputs<S>::integers({0, 1, 0, 1, 2, 0, 1, 2, 3, 4}), queries = inputs<S>::integers({0, 2, 3, 5}), keys = inputs<S>::integers({0, 2, 5, 10});
  check([&](const auto& x) { return causal_attention(x[0], gather(x[1], key_rows), gather(x[2], key_rows), queries, keys, 4, 2, 0.5); },
        std::vector{in.random({5, 16}), in.random({5, 8}), in.random({5, 8})});  // examples that begin alike
  BOOST_CHECK_THROW(causal_attention(q, k, v, offsets, inputs<S>::integers({0, 4, 11}), 4, 2, 0.5), error);
  BOOST_CHECK_THROW(causal_attention(gather(q, last), k, v, inputs<S>::integers({0, 2, 2, 4}), 4, 2, 0.5), error);
  const auto positions = inputs<S>::integers({0, 1, 2, 0, 3});
  const rotary_table<tensor<double, S>> table{in.random({4, 2}), in.random({4, 2})};
  check([&](const auto& x) { return tanh(rotary(x[0], positions, table, 3)); }, std::vector{in.random({5, 12})});
}

BOOST_AUTO_TEST_CASE_TEMPLATE(cross_entropies, S, storages) {
  inputs<S> in;
  const auto labels = inputs<S>::integers({2, 0, 6});
  for (const double smoothing : {0.0, 0.1})
    check([&](const auto& x) { return cross_entropy(x[0], labels, smoothing); }, std::vector{in.random({3, 7})});
}

BOOST_AUTO_TEST_CASE_TEMPLATE(linear_and_cross_entropy, S, storages) {
  inputs<S> in;
  const auto labels = inputs<S>::integers({2, 0, 6});
  for (const double smoothing : {0.0, 0.1})
    for (const index_t width : {4, 12}) {  // logits computed again in ranges of 3; kept
      const auto fused = [&]<class V>(const std::vector<V>& x) {
        return apply(detail::linear_cross_entropy_rule<tensor_of<V>>{{labels, smoothing}, 3}, x[0], x[1]);
      };
      const std::vector at{in.random({3, width}), in.random({7, width})};
      check(fused, at);
      const auto apart = cross_entropy(linear(at[0], at[1]), labels, smoothing).to_vector(), together = fused(at).to_vector();
      for (std::size_t i = 0; i < apart.size(); ++i) BOOST_TEST(together[i] == apart[i], boost::test_tools::tolerance(1e-13));
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_value_used_twice_and_a_constant, S, storages) {
  inputs<S> in;
  const auto constant = in.random({3, 4});
  check(
      [&]<class V>(const std::vector<V>& x) {
        const V h = silu(linear(x[0], x[1]));
        return linear(h, x[1]) + h * V{constant} + tanh(h);
      },
      std::vector{in.random({3, 4}), in.random({4, 4})});
}

BOOST_AUTO_TEST_SUITE_END()
