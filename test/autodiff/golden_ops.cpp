// Every operation against PyTorch in float64 (test/golden/ops/make.py): value, derivative along tangents, gradient and
// Hessian-vector product of s = <c, y> + <y, y> / 2.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <expunge/autodiff/attention.hpp>
#include <expunge/autodiff/cross_entropy.hpp>
#include <expunge/autodiff/elementwise.hpp>
#include <expunge/autodiff/linear.hpp>
#include <expunge/autodiff/linear_cross_entropy.hpp>
#include <expunge/autodiff/norm.hpp>
#include <expunge/autodiff/rows.hpp>
#include <expunge/autodiff/second_order.hpp>
#include <expunge/io/safetensors.hpp>
#include <expunge/model/decoder_init.hpp>

using namespace expunge;

namespace {

using X = tensor<double>;
using integers = X::index_tensor;

class golden_operations {
 public:
  ~golden_operations() {
    BOOST_TEST_MESSAGE("largest relative errors: value " << worst_.value << ", jvp " << worst_.jvp << ", gradient " << worst_.gradient
                                                         << ", hvp " << worst_.hvp);
  }

  X read(const std::string& name) const {
    const auto& entry = file_.tensor(name);
    std::vector<double> values(entry.bytes.size() / sizeof(double));
    file_.read_into(name, std::span(values));
    shape extents;
    switch (entry.extents.size()) {
      case 1: extents = shape{entry.extents[0]}; break;
      case 2: extents = shape{entry.extents[0], entry.extents[1]}; break;
      default: fail(name, ": expected a vector or a matrix");
    }
    return X(extents, values);
  }
  integers read_integers(const std::string& name) const {
    const auto& entry = file_.tensor(name);
    const auto* begin = reinterpret_cast<const std::int32_t*>(entry.bytes.data());
    const std::vector<std::int32_t> values(begin, begin + entry.bytes.size() / sizeof(std::int32_t));
    return integers(shape{std::ssize(values)}, values);
  }

  /// `f` takes a std::vector<V> of the case's inputs.
  template <class F>
  void check(const std::string& name, const F& f) {
    seen_.insert(name);
    BOOST_TEST_CONTEXT(name) {
      std::vector<X> x, t;
      for (std::size_t i = 0; file_.contains(name + ".x." + std::to_string(i)); ++i) {
        x.push_back(read(name + ".x." + std::to_string(i)));
        t.push_back(read(name + ".t." + std::to_string(i)));
      }
      const X c = read(name + ".c");
      const X y = f(x);
      compare(y, name + ".value", 1e-12, worst_.value);

      std::vector<dual<X>> duals;
      for (std::size_t i = 0; i < x.size(); ++i) duals.push_back({x[i], t[i]});
      compare(f(duals).tangent, name + ".jvp", 1e-12, worst_.jvp);

      tape<X> first;
      std::vector<var<X>> vars;
      for (const X& input : x) vars.push_back(first.leaf(input));
      const var<X> recorded = f(vars);
      first.pullback(recorded, c + recorded.value);
      for (std::size_t i = 0; i < x.size(); ++i)
        compare(gradient_of(vars[i]), name + ".gradient." + std::to_string(i), 1e-12, worst_.gradient);

      tape<dual<X>> second;
      std::vector<var<dual<X>>> leaves;
      for (const X& input : x) leaves.push_back(second.leaf(input));
      const var<dual<X>> replayed = f(leaves);
      second.pullback(replayed, c + replayed.value);
      for (std::size_t i = 0; i < x.size(); ++i) set_tangent(leaves[i], t[i]);
      second.pushforward();
      second.pullback_tangent(replayed, clone(tangent_of(replayed)));  // the seed c + y has the tangent dy
      for (std::size_t i = 0; i < x.size(); ++i)
        compare(gradient_tangent_of(leaves[i]), name + ".hvp." + std::to_string(i), 1e-10, worst_.hvp);
    }
  }

  /// The file's cases that no check() named.
  [[nodiscard]] std::set<std::string> unseen() const {
    std::set<std::string> out;
    for (const auto& entry : file_.tensors())
      if (const std::string name = entry.name.substr(0, entry.name.find('.')); !seen_.contains(name)) out.insert(name);
    return out;
  }

 private:
  struct errors {
    double value = 0, jvp = 0, gradient = 0, hvp = 0;
  };

  /// Element by element, relative to the element wanted; small ones to 1, or to the largest where that is smaller.
  void compare(const X& found, const std::string& name, double tolerance, double& worst) const {
    const auto wanted = read(name).to_vector(), got = found.to_vector();
    BOOST_TEST_REQUIRE(got.size() == wanted.size());
    double largest = 0, error = 0;
    for (const double w : wanted) largest = std::max(largest, std::abs(w));
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const double difference = std::abs(got[i] - wanted[i]), scale = std::max(std::abs(wanted[i]), std::min(1.0, largest));
      const double relative = difference == 0 ? 0 : difference / scale;
      BOOST_TEST(relative <= tolerance, name << "[" << i << "]: " << got[i] << " where PyTorch has " << wanted[i]);
      error = std::max(error, relative);
    }
    worst = std::max(worst, error);
  }

  io::safetensors_file file_{std::filesystem::path(EXPUNGE_SOURCE_DIR) / "test/golden/ops/golden.safetensors"};
  std::set<std::string> seen_;
  errors worst_;
};

template <class F>
void twice(golden_operations& golden, const std::string& name, const F& f) {
  golden.check(name, f);
  golden.check(name + "_far", f);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(golden_ops)

BOOST_AUTO_TEST_CASE(values_and_derivatives_agree_with_pytorch) {
  golden_operations g;

  g.check("linear", [](const auto& x) { return linear(x[0], x[1]); });
  g.check("linear_bias", [](const auto& x) { return linear(x[0], x[1], x[2]); });
  g.check("matmul", [](const auto& x) { return matmul(x[0], x[1]); });

  twice(g, "relu", [](const auto& x) { return relu(x[0]); });
  twice(g, "tanh", [](const auto& x) { return tanh(x[0]); });
  twice(g, "silu", [](const auto& x) { return silu(x[0]); });
  twice(g, "gelu", [](const auto& x) { return gelu(x[0]); });
  twice(g, "gelu_tanh", [](const auto& x) { return gelu_tanh(x[0]); });
  twice(g, "exp", [](const auto& x) { return exp(x[0]); });
  twice(g, "log_sigmoid", [](const auto& x) { return log_sigmoid(x[0]); });
  g.check("log", [](const auto& x) { return log(x[0]); });
  g.check("swiglu", [](const auto& x) { return swiglu(x[0], x[1]); });
  g.check("add", [](const auto& x) { return x[0] + x[1]; });
  g.check("subtract", [](const auto& x) { return x[0] - x[1]; });
  g.check("multiply", [](const auto& x) { return x[0] * x[1]; });
  g.check("affine", [](const auto& x) { return affine(x[0], 2.5, -0.75); });
  g.check("used_twice", [](const auto& x) { return x[0] * linear(tanh(x[0]), x[1]) + x[0]; });

  const auto rows = g.read_integers("gather.rows");
  g.check("gather", [&](const auto& x) { return gather(x[0], rows); });
  for (const char* name : {"segment_sum", "segment_sum_rows"}) {
    const auto offsets = g.read_integers(std::string(name) + ".offsets");
    g.check(name, [&](const auto& x) { return segment_sum(x[0], offsets); });
  }
  g.check("sum", [](const auto& x) { return sum(x[0]); });
  g.check("mean", [](const auto& x) { return mean(x[0]); });

  g.check("rms_norm", [](const auto& x) { return rms_norm(x[0], x[1], 1e-5); });
  g.check("rms_norm_small", [](const auto& x) { return rms_norm(x[0], x[1], 1e-2); });
  g.check("layer_norm", [](const auto& x) { return layer_norm(x[0], x[1], x[2], 1e-5); });
  g.check("layer_norm_small", [](const auto& x) { return layer_norm(x[0], x[1], x[2], 1e-2); });

  const auto attend = [&](const std::string& name, index_t heads, index_t kv_heads, index_t dim) {
    const auto offsets = g.read_integers(name + ".offsets");
    const double scale = 1 / std::sqrt(static_cast<double>(dim));
    g.check(name, [&](const auto& x) { return causal_attention(x[0], x[1], x[2], offsets, heads, kv_heads, scale); });
  };
  attend("attention_grouped", 4, 2, 4);
  attend("attention_one_shared", 3, 1, 2);
  attend("attention_plain", 2, 2, 3);
  attend("attention_long", 2, 1, 2);

  const auto turn = [&](const std::string& name, index_t heads, const model::decoder_config& config) {
    const auto table = model::make_rotary_table<X>(config);
    const auto positions = g.read_integers(name + ".positions");
    g.check(name, [&](const auto& x) { return rotary(x[0], positions, table, heads); });
  };
  turn("rotary", 3, {.head_dim = 4, .context = 2048, .rotary_base = 10000});
  turn("rotary_llama3", 2, {.head_dim = 16, .context = 2048, .rotary_base = 500000, .scaling = {8, 1, 4, 256}});

  for (const auto& [name, smoothing] : {std::pair{"cross_entropy", 0.0}, {"cross_entropy_smoothed", 0.1}, {"cross_entropy_far", 0.0}}) {
    const auto labels = g.read_integers(std::string(name) + ".labels");
    const double s = smoothing;
    g.check(name, [&](const auto& x) { return cross_entropy(x[0], labels, s); });
  }
  const integers same_row(shape{7}, std::vector<std::int32_t>(7, 0)), every_label(shape{7}, {0, 1, 2, 3, 4, 5, 6});
  g.check("log_softmax", [&](const auto& x) { return affine(cross_entropy(gather(x[0], same_row), every_label), -1); });
  const auto label_rows = g.read_integers("label_positions.rows"), labels = g.read_integers("label_positions.labels");
  g.check("label_positions", [&](const auto& x) { return cross_entropy(linear(gather(x[0], label_rows), x[1]), labels); });
  g.check("label_positions", [&](const auto& x) { return linear_cross_entropy(gather(x[0], label_rows), x[1], labels); });

  const auto unseen = g.unseen();
  BOOST_TEST(unseen.empty(), "a case without a check: " << (unseen.empty() ? "" : *unseen.begin()));
}

BOOST_AUTO_TEST_SUITE_END()
