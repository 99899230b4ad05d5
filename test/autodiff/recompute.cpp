// Values that the sweep computes again: the same derivatives from less memory.
#include <boost/test/unit_test.hpp>

#include <vector>

#include <expunge/autodiff/derivative_oracle.hpp>
#include <expunge/autodiff/elementwise.hpp>
#include <expunge/autodiff/linear.hpp>
#include <expunge/autodiff/norm.hpp>
#include <expunge/autodiff/recompute.hpp>
#include <expunge/tensor/host/buffer_pool.hpp>

using namespace expunge;
using X = tensor<double>;

namespace {

std::vector<X> inputs(index_t rows) {
  philox generator(3);
  std::vector<X> made;
  for (const shape& s : {shape{rows, 8}, shape{8}, shape{8}, shape{8, 8}, shape{8, 8}}) {
    std::vector<double> values(static_cast<std::size_t>(s.size()));
    for (double& v : values) v = standard_normal(generator);
    made.emplace_back(s, values);
  }
  return made;
}

/// Norms, a gated activation and a function of one variable, each read by linear layers.
template <bool again>
struct network {
  template <class V>
  V operator()(const std::vector<V>& in) const {
    const auto spare = [](const V& x) {
      if constexpr (again) recompute_later(x);
    };
    const V a = layer_norm(in[0], in[1], in[2], 1e-3);
    const V left = linear(a, in[3]), right = linear(a, in[4]);
    spare(a);
    const V gated = swiglu(left, right);
    const V b = rms_norm(linear(gated, in[3]), in[1], 1e-3);
    spare(gated);
    const V c = gelu_tanh(linear(b, in[4]));
    spare(b);
    const V out = linear(c, in[3]);
    spare(c);
    return out;
  }
};

template <class F>
std::vector<X> gradients(const F& f, const std::vector<X>& at, std::size_t& held) {
  auto& pool = host::buffer_pool::instance();
  tape<X> record;
  std::vector<var<X>> leaves;
  for (const X& x : at) leaves.push_back(record.leaf(x));
  pool.forget_peak();
  const std::size_t before = pool.peak_bytes();
  const var<X> y = f(leaves);
  pool.forget_peak();
  held = pool.peak_bytes() - before;
  X seed(y.value.extents());
  fill(seed, 1);
  record.pullback(y, seed);
  std::vector<X> out;
  for (const auto& leaf : leaves) out.push_back(gradient_of(leaf));
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(recompute)

BOOST_AUTO_TEST_CASE(gives_the_same_bits_from_less_memory) {
  const auto at = inputs(512);
  std::size_t kept = 0, spared = 0;
  const auto expected = gradients(network<false>{}, at, kept), found = gradients(network<true>{}, at, spared);
  for (std::size_t i = 0; i < at.size(); ++i) BOOST_TEST((found[i].to_vector() == expected[i].to_vector()));
  BOOST_TEST(spared + 4 * 512 * 8 * sizeof(double) < kept + 1024);  // four values less, some bytes more for the notes
}

BOOST_AUTO_TEST_CASE(all_modes_and_orders) {
  const auto worst = check_derivatives<X>(network<true>{}, inputs(3));
  BOOST_TEST(worst.jvp < 1e-7);
  BOOST_TEST(worst.gradient < 1e-7);
  BOOST_TEST(worst.hvp < 1e-6);
}

BOOST_AUTO_TEST_CASE(a_value_that_cannot_be_computed_again_is_named) {
  tape<X> record;
  const auto at = inputs(2);
  const var<X> x = record.leaf(at[0]), y = linear(x, var<X>{at[3]}), z = linear(y, record.leaf(at[4]));
  recompute_later(y);
  X seed(z.value.extents());
  fill(seed, 1);
  BOOST_CHECK_EXCEPTION(record.pullback(z, seed), error, [](const error& e) { return std::string(e.what()).find("again") != std::string::npos; });
}

BOOST_AUTO_TEST_SUITE_END()
