// The rotary kernel against complex multiplication, its transpose by the inner-product identity.
#include "expunge/tensor/host/rotary.hpp"

#include <boost/mpl/list.hpp>
#include <complex>

#include "finite_difference.hpp"

namespace {

using expunge::index_t;
using expunge_test::values;
using scalars = boost::mpl::list<float, double>;

constexpr std::size_t max_position = 90;

template <class T>
struct rotary_case {
  index_t rows, heads, dim;
  std::vector<std::int32_t> positions;
  values<T> cos, sin, x;

  rotary_case(index_t rows_, index_t heads_, index_t dim_) : rows(rows_), heads(heads_), dim(dim_) {
    for (index_t r = 0; r < rows; ++r) positions.push_back(static_cast<std::int32_t>((7 * r + 3) % 90));
    for (std::size_t p = 0; p < max_position; ++p)
      for (index_t j = 0; j < dim / 2; ++j) {
        cos.push_back(static_cast<T>(std::cos(angle(p, j))));
        sin.push_back(static_cast<T>(std::sin(angle(p, j))));
      }
    x = expunge_test::random_values<T>(static_cast<std::size_t>(rows * heads * dim), 1);
  }
  [[nodiscard]] double angle(std::size_t position, index_t j) const {
    return static_cast<double>(position) * std::pow(1e4, -2.0 * static_cast<double>(j) / static_cast<double>(dim));
  }
  [[nodiscard]] values<T> run(const values<T>& from, bool transpose) const {
    values<T> y(from.size(), std::numeric_limits<T>::quiet_NaN());
    expunge::host::rotary<T>(from.data(), positions.data(), cos.data(), sin.data(), rows, heads, dim, transpose, y.data(), false);
    return y;
  }
};

template <class T, class Check>
void for_each_case(const Check& check) {
  check(rotary_case<T>(1, 1, 2));
  check(rotary_case<T>(5, 3, 10));
  check(rotary_case<T>(170, 9, 64));
}

template <class T>
constexpr double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-14;

}  // namespace

BOOST_AUTO_TEST_SUITE(host_rotary)

BOOST_AUTO_TEST_CASE_TEMPLATE(pairs_turn_as_complex_numbers, T, scalars) {
  for_each_case<T>([](const rotary_case<T>& c) {
    values<double> expected(c.x.size());
    for (index_t i = 0; i < c.rows * c.heads; ++i)
      for (index_t j = 0; j < c.dim / 2; ++j) {
        const auto a = static_cast<std::size_t>(i * c.dim + j);
        const auto b = static_cast<std::size_t>(i * c.dim + j + c.dim / 2);
        const auto position = static_cast<std::size_t>(c.positions[static_cast<std::size_t>(i / c.heads)]);
        const auto turned = std::complex<double>(c.x[a], c.x[b]) * std::polar(1.0, c.angle(position, j));
        expected[a] = turned.real();
        expected[b] = turned.imag();
      }
    BOOST_TEST(expunge_test::difference(c.run(c.x, false), expected) < tolerance<T>);
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(transpose_is_the_adjoint_and_the_inverse, T, scalars) {
  for_each_case<T>([](const rotary_case<T>& c) {
    const auto y_bar = expunge_test::random_values<T>(c.x.size(), 2);
    const double forward = expunge_test::inner(c.run(c.x, false), y_bar);
    const double back = expunge_test::inner(c.x, c.run(y_bar, true));
    BOOST_TEST(std::abs(forward - back) < 100 * tolerance<T> * (1 + std::abs(forward)));
    BOOST_TEST(expunge_test::difference(c.run(c.run(c.x, false), true), c.x) < tolerance<T>);
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(accumulation_adds, T, scalars) {
  for_each_case<T>([](const rotary_case<T>& c) {
    for (const bool transpose : {false, true}) {
      auto y = expunge_test::random_values<T>(c.x.size(), 3);
      auto expected = c.run(c.x, transpose);
      for (std::size_t i = 0; i < y.size(); ++i) expected[i] += y[i];
      expunge::host::rotary<T>(c.x.data(), c.positions.data(), c.cos.data(), c.sin.data(), c.rows, c.heads, c.dim, transpose,
                               y.data(), true);
      BOOST_TEST(expunge_test::difference(y, expected) < tolerance<T>);
    }
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(threads_do_not_change_bits, T, scalars) {
  expunge::thread_pool& pool = expunge::thread_pool::instance();
  const std::size_t before = pool.threads();
  for_each_case<T>([&](const rotary_case<T>& c) {
    pool.set_threads(1);
    const auto one = c.run(c.x, false);
    pool.set_threads(2);
    BOOST_TEST((c.run(c.x, false) == one));
  });
  pool.set_threads(before);
}

BOOST_AUTO_TEST_SUITE_END()
