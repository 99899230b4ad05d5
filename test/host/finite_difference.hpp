// One check for the four kernels of any operation: finite differences, identities, null pointers, accumulation, threads.
//
// An operation is a class template over the scalar with
//   std::vector<std::size_t> sizes()                                   sizes of its differentiable inputs
//   values<T> value(inputs)
//   values<T> pushforward(inputs, dinputs)
//   void pullback(inputs, y_bar, bars)                                 adds to the bars
//   void pullback_tangent(inputs, dinputs, y_bar, dy_bar, dbars)       adds to the dbars
// where an empty vector stands for a null pointer.
#pragma once

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <Eigen/Core>

#include "expunge/core/random.hpp"
#include "expunge/core/thread_pool.hpp"

namespace expunge_test {

/// Aligned as the library aligns its tensors: only then does a repeated computation have the same bits.
template <class T>
using values = std::vector<T, Eigen::aligned_allocator<T>>;
template <class T>
using arrays = std::vector<values<T>>;

template <class T>
T* pointer(values<T>& v) { return v.empty() ? nullptr : v.data(); }
template <class T>
const T* pointer(const values<T>& v) { return v.empty() ? nullptr : v.data(); }

/// Standard normal values that a float can hold, so that float and double runs see the same numbers.
template <class T>
values<T> random_values(std::size_t size, std::uint64_t seed) {
  expunge::philox generator(seed);
  values<T> made(size);
  for (T& value : made) value = static_cast<T>(static_cast<float>(expunge::standard_normal(generator)));
  return made;
}

template <class T>
arrays<T> random_arrays(const std::vector<std::size_t>& sizes, std::uint64_t seed) {
  arrays<T> made;
  for (const std::size_t size : sizes) made.push_back(random_values<T>(size, seed + 1000 * made.size()));
  return made;
}

template <class T>
arrays<T> zeros(const std::vector<std::size_t>& sizes) {
  arrays<T> made;
  for (const std::size_t size : sizes) made.emplace_back(size, T{0});
  return made;
}

template <class T>
values<T> joined(const arrays<T>& parts) {
  values<T> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

template <class T>
double inner(const values<T>& a, const values<T>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

/// Largest difference, relative to the largest magnitude (at least 1) of `expected`.
template <class T, class U>
double difference(const values<T>& actual, const values<U>& expected) {
  BOOST_TEST_REQUIRE(actual.size() == expected.size());
  double worst = 0;
  double largest = 1;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double gap = std::abs(static_cast<double>(actual[i]) - static_cast<double>(expected[i]));
    worst = gap <= worst ? worst : gap;  // keeps a NaN
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
  }
  return worst / largest;
}

inline arrays<double> moved(arrays<double> at, const arrays<double>& along, double by) {
  for (std::size_t i = 0; i < at.size(); ++i)
    for (std::size_t j = 0; j < at[i].size(); ++j) at[i][j] += by * along[i][j];
  return at;
}

/// d f(t) / dt at 0 by the five-point central difference.
template <class F>
values<double> derivative(const F& f, double h = 1e-3) {
  const values<double> a = f(h), b = f(-h), c = f(2 * h), d = f(-2 * h);
  values<double> slope(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) slope[i] = (8 * (a[i] - b[i]) - (c[i] - d[i])) / (12 * h);
  return slope;
}

/// The outputs of all four kernels for one set of inputs, tangents and cotangents.
template <class T>
struct all_outputs {
  values<T> value, dy;
  arrays<T> bars, dbars;
};

template <class T, class Op>
all_outputs<T> run_all(const Op& op) {
  const auto x = random_arrays<T>(op.sizes(), 1);
  const auto dx = random_arrays<T>(op.sizes(), 2);
  all_outputs<T> out{op.value(x), op.pushforward(x, dx), random_arrays<T>(op.sizes(), 5), random_arrays<T>(op.sizes(), 6)};
  const auto y_bar = random_values<T>(out.value.size(), 3);
  const auto dy_bar = random_values<T>(out.value.size(), 4);
  op.pullback(x, y_bar, out.bars);
  op.pullback_tangent(x, dx, y_bar, dy_bar, out.dbars);
  return out;
}

/// Derivatives of the double kernels against central differences and each other.
template <class Op>
void check_derivatives(const Op& op) {
  const auto x = random_arrays<double>(op.sizes(), 1);
  const auto dx = random_arrays<double>(op.sizes(), 2);
  const auto y = op.value(x);
  const auto y_bar = random_values<double>(y.size(), 3);
  const arrays<double> dy_bar{random_values<double>(y.size(), 4)};

  const auto dy = op.pushforward(x, dx);
  BOOST_TEST(difference(dy, derivative([&](double t) { return op.value(moved(x, dx, t)); })) < 1e-6);

  auto bars = zeros<double>(op.sizes());
  op.pullback(x, y_bar, bars);
  const double from_bars = inner(joined(bars), joined(dx));
  BOOST_TEST(std::abs(from_bars - inner(y_bar, dy)) < 1e-10 * (1 + std::abs(from_bars)));
  const auto scalar = derivative([&](double t) { return values<double>{inner(op.value(moved(x, dx, t)), y_bar)}; });
  BOOST_TEST(std::abs(from_bars - scalar[0]) < 1e-6 * (1 + std::abs(from_bars)));

  auto dbars = zeros<double>(op.sizes());
  op.pullback_tangent(x, dx, y_bar, dy_bar[0], dbars);
  const auto expected = derivative([&](double t) {
    auto there = zeros<double>(op.sizes());
    op.pullback(moved(x, dx, t), moved({y_bar}, dy_bar, t)[0], there);
    return joined(there);
  });
  BOOST_TEST(difference(joined(dbars), expected) < 1e-5);
}

/// Every combination of null tangents equals zero tangents; every combination of null outputs leaves the others as they are.
template <class T, class Op>
void check_null_pointers(const Op& op) {
  const auto x = random_arrays<T>(op.sizes(), 1);
  const double tolerance = sizeof(T) == 4 ? 1e-5 : 1e-13;
  const auto y_size = op.value(x).size();
  const auto y_bar = random_values<T>(y_size, 3);
  const std::size_t count = x.size();
  auto all_bars = zeros<T>(op.sizes());
  op.pullback(x, y_bar, all_bars);
  for (std::size_t mask = 0; mask < std::size_t{2} << count; ++mask) {  // bit i: input i; bit `count`: dy_bar
    auto with_zero = random_arrays<T>(op.sizes(), 2);
    auto with_null = with_zero;
    auto dy_bar = random_values<T>(y_size, 4);
    auto dy_bar_null = dy_bar;
    auto bars = zeros<T>(op.sizes());
    for (std::size_t i = 0; i < count; ++i)
      if ((mask >> i & 1U) != 0) {
        std::fill(with_zero[i].begin(), with_zero[i].end(), T{0});
        with_null[i].clear();
        bars[i].clear();
      }
    if ((mask >> count & 1U) != 0) {
      std::fill(dy_bar.begin(), dy_bar.end(), T{0});
      dy_bar_null.clear();
    }
    BOOST_TEST(difference(op.pushforward(x, with_null), op.pushforward(x, with_zero)) < tolerance);

    auto dbars = bars;
    auto dbars_zero = zeros<T>(op.sizes());
    op.pullback(x, y_bar, bars);
    op.pullback_tangent(x, with_null, y_bar, dy_bar_null, dbars);
    op.pullback_tangent(x, with_zero, y_bar, dy_bar, dbars_zero);
    for (std::size_t i = 0; i < count; ++i)
      if (!bars[i].empty()) {
        BOOST_TEST(difference(bars[i], all_bars[i]) < tolerance);
        BOOST_TEST(difference(dbars[i], dbars_zero[i]) < tolerance);
      }
  }
}

/// Cotangents are added to what is there.
template <class T, class Op>
void check_accumulation(const Op& op) {
  const auto x = random_arrays<T>(op.sizes(), 1);
  const auto dx = random_arrays<T>(op.sizes(), 2);
  const auto y_size = op.value(x).size();
  const auto y_bar = random_values<T>(y_size, 3);
  const auto dy_bar = random_values<T>(y_size, 4);
  const auto all = run_all<T>(op);
  auto bars = zeros<T>(op.sizes());
  auto dbars = zeros<T>(op.sizes());
  op.pullback(x, y_bar, bars);
  op.pullback_tangent(x, dx, y_bar, dy_bar, dbars);
  const auto add = [](values<T> a, const values<T>& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    return a;
  };
  const double tolerance = sizeof(T) == 4 ? 1e-5 : 1e-13;
  BOOST_TEST(difference(joined(all.bars), add(joined(random_arrays<T>(op.sizes(), 5)), joined(bars))) < tolerance);
  BOOST_TEST(difference(joined(all.dbars), add(joined(random_arrays<T>(op.sizes(), 6)), joined(dbars))) < tolerance);
}

/// One and two threads give the same bits.
template <class T, class Op>
void check_threads(const Op& op) {
  expunge::thread_pool& pool = expunge::thread_pool::instance();
  const std::size_t before = pool.threads();
  pool.set_threads(1);
  const auto one = run_all<T>(op);
  pool.set_threads(2);
  const auto two = run_all<T>(op);
  pool.set_threads(before);
  BOOST_TEST((one.value == two.value && one.dy == two.dy && one.bars == two.bars && one.dbars == two.dbars));
}

/// All of the above, and float against double.
template <template <class> class Op, class... Settings>
void check_operation(const Settings&... settings) {
  const Op<float> single{settings...};
  const Op<double> exact{settings...};
  check_derivatives(exact);
  check_null_pointers<float>(single);
  check_null_pointers<double>(exact);
  check_accumulation<float>(single);
  check_accumulation<double>(exact);
  check_threads<float>(single);
  check_threads<double>(exact);
  const auto low = run_all<float>(single);
  const auto high = run_all<double>(exact);
  BOOST_TEST(difference(low.value, high.value) < 1e-4);
  BOOST_TEST(difference(low.dy, high.dy) < 1e-4);
  BOOST_TEST(difference(joined(low.bars), joined(high.bars)) < 1e-4);
  BOOST_TEST(difference(joined(low.dbars), joined(high.dbars)) < 1e-4);
}

}  // namespace expunge_test
