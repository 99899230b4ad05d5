// What writers of operations get wrong: it gives right derivatives or an error.
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <limits>
#include <string>
#include <type_traits>

#include <expunge/autodiff/attention.hpp>
#include <expunge/autodiff/derivative_oracle.hpp>
#include <expunge/autodiff/elementwise.hpp>
#include <expunge/autodiff/linear.hpp>
#include <expunge/autodiff/norm.hpp>
#include <expunge/autodiff/rows.hpp>

#include "../message_of.hpp"

using namespace expunge;

namespace {

using X = tensor<double>;

/// x^3. It says that it is not linear, and asks of no slot whether it is wanted.
struct cube_rule {
  static constexpr bool linear = false;
  X x{}, y{};

  X forward(const X& x_, const X& y_) {
    x = x_;
    y = y_;
    return mapped([](const auto& v, const auto& w) { return v * v * v * w; }, x, y);
  }
  X pushforward(const X& dx, const X& dy) const {
    X out = zeros<X>(x.extents());
    if (!dx.absent()) map_in_place([](auto& o, const auto& v, const auto& w, const auto& d) { o += 3.0 * v * v * w * d; }, out, x, y, dx);
    if (!dy.absent()) map_in_place([](auto& o, const auto& v, const auto& d) { o += v * v * v * d; }, out, x, dy);
    return out;
  }
  void pullback(const X& bar, cotangent_slot<X> x_bar, cotangent_slot<X> y_bar) const {
    x_bar.add_mapped([](const auto& v, const auto& w, const auto& g) { return 3.0 * v * v * w * g; }, x, y, bar);
    y_bar.add(mapped([](const auto& v, const auto& g) { return v * v * v * g; }, x, bar));
  }
  void pullback_tangent(const X& dx, const X& dy, const X& bar, const X& dbar, cotangent_slot<X> x_bar, cotangent_slot<X> y_bar) const {
    if (!dbar.absent()) pullback(dbar, x_bar, y_bar);
    if (!dx.absent()) {
      x_bar.add_mapped([](const auto& v, const auto& w, const auto& d, const auto& g) { return 6.0 * v * w * d * g; }, x, y, dx, bar);
      y_bar.add_mapped([](const auto& v, const auto& d, const auto& g) { return 3.0 * v * v * d * g; }, x, dx, bar);
    }
    if (!dy.absent()) x_bar.add_mapped([](const auto& v, const auto& d, const auto& g) { return 3.0 * v * v * d * g; }, x, dy, bar);
  }
};

template <class V>
V cube(const V& x, const V& factor) {
  return apply(cube_rule{}, x, factor);
}

/// x^2, whose writer may forget dy_bar.
template <bool Whole>
struct square_rule {
  X x{};

  X forward(const X& x_) { return x = x_, mapped(functor::multiply{}, x, x); }
  X pushforward(const X& dx) const { return twice(dx); }
  void pullback(const X& bar, cotangent_slot<X> x_bar) const { x_bar.add(twice(bar)); }
  void pullback_tangent(const X& dx, const X& bar, const X& dbar, cotangent_slot<X> dx_bar) const {
    if (Whole && !dbar.absent()) pullback(dbar, dx_bar);
    dx_bar.add_mapped([](const auto& d, const auto& g) { return 2.0 * d * g; }, dx, bar);
  }

 private:
  [[nodiscard]] X twice(const X& by) const { return mapped([](const auto& v, const auto& d) { return 2.0 * v * d; }, x, by); }
};

enum class part { none, pushforward, pullback, pullback_tangent };

/// x^2 with one part that gives another shape.
template <part Wrong>
struct misshapen_rule : square_rule<true> {
  static X misshapen(part of, const X& right) { return of == Wrong ? zeros<X>({2, 5}) : right; }

  X pushforward(const X& dx) const { return misshapen(part::pushforward, square_rule::pushforward(dx)); }
  void pullback(const X& bar, cotangent_slot<X> x_bar) const {
    x_bar.add(misshapen(part::pullback, mapped([](const auto& v, const auto& g) { return 2.0 * v * g; }, this->x, bar)));
  }
  void pullback_tangent(const X& dx, const X& bar, const X&, cotangent_slot<X> dx_bar) const {
    dx_bar.add(misshapen(part::pullback_tangent, mapped(functor::multiply{}, dx, bar)));
  }
};

struct without_slope {
  template <class B>
  static B value(const B& x) { return x; }
  template <class B>
  static B slope(const B& x) { return (x - x) / (x - x); }
  template <class B>
  static B curvature(const B& x) { return slope(x); }
};

const X some({3}, std::vector<double>{1, 2, 3}), ones({3}, std::vector<double>{1, 1, 1});

}  // namespace

BOOST_AUTO_TEST_SUITE(own_rules)

BOOST_AUTO_TEST_CASE(second_order_of_a_function_whose_last_operation_is_not_linear) {
  const auto h = hvp<X>([](const auto& v) { return exp(v[0]); }, {some}, {ones})[0].to_vector();
  for (std::size_t i = 0; i < 3; ++i) BOOST_TEST(std::abs(h[i] / std::exp(some.to_vector()[i]) - 1) < 1e-14);
}

BOOST_AUTO_TEST_CASE(a_rule_that_says_it_is_not_linear_and_constants_as_inputs) {
  for (const derivative_errors& e : {check_derivatives<X>([](const auto& v) { return cube(v[0], v[1]); }, {some, ones}),
                                     check_derivatives<X>([]<class V>(const std::vector<V>& v) { return cube(v[0], V{some}); }, {ones}),
                                     check_derivatives<X>([]<class V>(const std::vector<V>& v) { return cube(V{some}, v[0]); }, {ones})}) {
    BOOST_TEST(e.jvp < 1e-6);
    BOOST_TEST(e.gradient < 1e-6);
    BOOST_TEST(e.hvp < 1e-5);
  }
}

BOOST_AUTO_TEST_CASE(the_oracle_sees_a_second_order_without_its_part_of_dy_bar) {
  BOOST_TEST(check_derivatives<X>([](const auto& v) { return apply(square_rule<true>{}, v[0]); }, {some}).hvp < 1e-5);
  const derivative_errors e = check_derivatives<X>([](const auto& v) { return apply(square_rule<false>{}, v[0]); }, {some});
  BOOST_TEST(e.gradient < 1e-6);
  BOOST_TEST(e.hvp > 0.1);
}

BOOST_AUTO_TEST_CASE(the_oracle_sees_what_is_no_number) {
  const derivative_errors e = check_derivatives<X>([](const auto& v) { return unary<without_slope>(v[0]); }, {some});
  BOOST_TEST(std::isinf(e.jvp));
  BOOST_TEST(std::isinf(e.gradient));
  BOOST_TEST(std::isinf(e.hvp));
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused) {
  tape<X> recorded;
  BOOST_CHECK_THROW(recorded.leaf(some, X({2}, std::vector<double>{0, 0})), error);
  const auto y = cube(recorded.leaf(some), var<X>{ones});
  recorded.pullback(y, ones);
  BOOST_CHECK_THROW(recorded.pullback(y, ones), error);
  recorded.clear();
  const auto leaf = recorded.leaf(some);  // which gathers what two sweeps give
  for (int i = 0; i < 2; ++i) recorded.pullback(cube(leaf, var<X>{ones}), ones);
  BOOST_TEST(gradient_of(leaf).to_vector() == (std::vector<double>{6, 24, 54}), boost::test_tools::per_element());
  BOOST_CHECK_THROW(jvp<X>([](const auto& v) { return v[0] * v[1]; }, {some, some}, {ones}), error);
  BOOST_CHECK_THROW(hvp<X>([](const auto& v) { return v[0] * v[1]; }, {some, some}, {ones}), error);
  const X narrow({1}, std::vector<double>{1});  // row kernels would read behind it
  BOOST_CHECK_THROW(jvp<X>([](const auto& v) { return rms_norm(v[0], v[1], 1e-5); }, {some.reshaped({1, 3}), ones}, {narrow, {}}), error);
  BOOST_CHECK_THROW(segment_sum(zeros<X>({2, 2, 3}), X::index_tensor({2}, std::vector<std::int32_t>{0, 2})), error);
}

BOOST_AUTO_TEST_CASE(what_a_rule_gives_has_the_shape_of_what_it_belongs_to) {
  const X::index_tensor offsets({3}, std::vector<std::int32_t>{0, 1, 3});  // segment_sum would read as many rows of any cotangent
  const X x = ones.reshaped({3, 1});
  const auto message = [&]<part Wrong>(std::integral_constant<part, Wrong>, bool first_order) {
    const auto f = [&](const auto& v) { return apply(misshapen_rule<Wrong>{}, segment_sum(v[0], offsets)); };
    return testing::message_of([&] { first_order ? gradient<X>(f, {x}) : hvp<X>(f, {x}, {x}); });
  };
  const auto is_named = [](const std::string& text, const std::string& function) {
    BOOST_TEST(text.starts_with("a rule's " + function + " gives shape [2, 5] where 2 elements are expected"), text);
  };
  for (const bool first_order : {true, false}) is_named(message(std::integral_constant<part, part::pullback>{}, first_order), "pullback");
  is_named(message(std::integral_constant<part, part::pushforward>{}, false), "pushforward");
  is_named(message(std::integral_constant<part, part::pullback_tangent>{}, false), "pullback_tangent");
  BOOST_TEST(message(std::integral_constant<part, part::none>{}, false) == "");
  BOOST_CHECK_THROW(jvp<X>([&](const auto& v) { return segment_sum(apply(misshapen_rule<part::pushforward>{}, v[0]), offsets); }, {x}, {x}), error);
}

template <class V>
void check_that_tapes_and_seeds_fit() {
  tape<V> recorded, other;
  const auto x = recorded.leaf(some), elsewhere = other.leaf(some);
  BOOST_CHECK_THROW(x * elsewhere, error);
  const auto y = var<V>{ones} * x;
  BOOST_CHECK_THROW(recorded.pullback(y, ones.reshaped({1, 3})), error);
  BOOST_CHECK_THROW(other.pullback(y, ones), error);
  BOOST_CHECK_THROW(recorded.pullback(var<V>{ones}, ones), error);
  recorded.pullback(y, ones);
  BOOST_TEST(gradient_of(x).to_vector() == ones.to_vector());
}

BOOST_AUTO_TEST_CASE(values_of_two_tapes_and_seeds_of_another_shape_are_refused) {
  check_that_tapes_and_seeds_fit<X>();
  check_that_tapes_and_seeds_fit<dual<X>>();
}

BOOST_AUTO_TEST_CASE(gauss_newton_on_one_recording) {
  tape<dual<X>> recorded;
  const auto x = recorded.leaf(some);
  const auto y = x * x;
  set_tangent(x, ones);
  recorded.pushforward();
  recorded.pullback(y, tangent_of(y));  // J^T J t
  BOOST_TEST(gradient_of(x).to_vector() == (std::vector<double>{4, 16, 36}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_second_order_recording_is_swept_once) {
  tape<dual<X>> recorded;
  const auto x = recorded.leaf(some);
  auto y = x * x;
  BOOST_CHECK_THROW(recorded.pullback_tangent(y, ones), error);
  recorded.pullback(y, ones);
  BOOST_CHECK_THROW(recorded.pullback(y, ones), error);
  set_tangent(x, ones);
  recorded.pushforward();
  BOOST_CHECK_THROW(recorded.pushforward(), error);
  BOOST_CHECK_THROW(recorded.pullback_tangent(y, ones.reshaped({1, 3})), error);
  recorded.pullback_tangent(y, {});
  BOOST_TEST(gradient_of(x).to_vector() == (std::vector<double>{2, 4, 6}), boost::test_tools::per_element());
  BOOST_TEST(gradient_tangent_of(x).to_vector() == (std::vector<double>{2, 2, 2}), boost::test_tools::per_element());
  BOOST_CHECK_THROW(recorded.pushforward(), error);
  BOOST_CHECK_THROW(recorded.pullback_tangent(y, {}), error);
  recorded.clear();
  const auto again = recorded.leaf(some);
  y = again * again;
  recorded.pullback(y, ones);
  recorded.pullback_tangent(y, ones);  // a plain sweep: there are no tangents
  BOOST_TEST(gradient_tangent_of(again).to_vector() == (std::vector<double>{2, 4, 6}), boost::test_tools::per_element());
  const var<dual<X>> constant{some};
  BOOST_CHECK_THROW(static_cast<void>(gradient_of(constant)), error);
  BOOST_CHECK_THROW(static_cast<void>(tangent_of(constant)), error);
  BOOST_CHECK_THROW(static_cast<void>(gradient_tangent_of(constant)), error);
}

BOOST_AUTO_TEST_CASE(heads_and_positions_that_do_not_fit_are_refused) {
  using I = X::index_tensor;
  const auto of = [](const shape& s) { return zeros<X>(s); };
  const auto indices = [](const std::vector<std::int32_t>& v) { return I({std::ssize(v)}, v); };
  BOOST_CHECK_THROW(causal_attention(of({3, 6}), of({3, 4}), of({3, 4}), indices({0, 3}), 3, 2, 1.0), error);
  BOOST_CHECK_THROW(causal_attention(of({3, 6}), of({3, 4}), of({3, 4}), indices({0, 3}), 0, 0, 1.0), error);
  BOOST_CHECK_NO_THROW(causal_attention(of({3, 6}), of({3, 2}), of({3, 2}), indices({0, 3}), 3, 1, 1.0));
  for (const double scale : {-1.0, 0.0, std::numeric_limits<double>::quiet_NaN()})
    BOOST_CHECK_THROW(causal_attention(of({3, 6}), of({3, 2}), of({3, 2}), indices({0, 3}), 3, 1, scale), error);
  const rotary_table<X> table{of({8, 2}), of({8, 2})};
  BOOST_CHECK_NO_THROW(rotary(of({3, 8}), indices({0, 1, 2}), table, 2));
  BOOST_CHECK_THROW(rotary(of({3, 8}), indices({0, 1, 2, 3}), table, 2), error);
  BOOST_CHECK_THROW(rotary(of({3, 12}), indices({0, 1, 2}), table, 2), error);
  BOOST_CHECK_THROW(rotary(of({3, 8}), indices({0, 1, 2}), table, 0), error);
}

BOOST_AUTO_TEST_SUITE_END()
