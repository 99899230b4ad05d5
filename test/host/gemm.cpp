// Matrix products against the sum written out, for shapes that leave every kind of rest.
#include <boost/test/unit_test.hpp>

#include <limits>

#include "expunge/core/random.hpp"
#include "expunge/tensor/host/gemm.hpp"

#include "../larger_error.hpp"

using namespace expunge;

namespace {

template <class T>
std::vector<T> noise(index_t size, std::uint64_t seed) {
  std::vector<T> out(static_cast<std::size_t>(size));
  philox random(seed);
  for (T& x : out) x = static_cast<T>(uniform01(random)) - T{0.5};
  return out;
}

template <class T>
std::vector<T> product(bool ta, bool tb, index_t m, index_t n, index_t k, T alpha, T beta, T before) {
  const auto a = noise<T>(m * k, 1), b = noise<T>(k * n, 2);
  std::vector<T> c(static_cast<std::size_t>(m * n), before);
  host::gemm<T>(ta, tb, m, n, k, alpha, a.data(), b.data(), beta, c.data());
  double worst = 0;
  for (index_t i = 0; i < m; ++i)
    for (index_t j = 0; j < n; ++j) {
      double sum = 0;
      for (index_t p = 0; p < k; ++p)
        sum += static_cast<double>(a[static_cast<std::size_t>(ta ? p * m + i : i * k + p)]) * static_cast<double>(b[static_cast<std::size_t>(tb ? j * k + p : p * n + j)]);
      const double expected = static_cast<double>(alpha) * sum + (beta == T{0} ? 0 : static_cast<double>(beta * before));
      worst = testing::larger_error(worst, std::abs(expected - static_cast<double>(c[static_cast<std::size_t>(i * n + j)])));
    }
  BOOST_TEST(worst <= 4 * std::numeric_limits<T>::epsilon() * static_cast<T>(k + 1));
  return c;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gemm)

BOOST_AUTO_TEST_CASE_TEMPLATE(equals_the_sum, T, decltype(std::tuple<float, double>{})) {
  for (const auto& [m, n, k] : {std::array<index_t, 3>{1, 1, 1}, {13, 31, 17}, {14, 32, 16}, {15, 33, 40}, {43, 70, 1100}, {300, 64, 9}, {2, 130, 33}, {1, 5, 2100}, {4, 6, 0}})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        BOOST_TEST_CONTEXT(m << " x " << n << " x " << k << (ta ? " A transposed" : "") << (tb ? " B transposed" : "")) {
          product<T>(ta, tb, m, n, k, T{1}, T{0}, std::numeric_limits<T>::quiet_NaN());
          product<T>(ta, tb, m, n, k, T{-0.5}, T{1}, T{2});
          product<T>(ta, tb, m, n, k, T{2}, T{0.25}, T{1});
        }
      }
}

// Every height of a tile and one more, widths and depths around those of tiles and vectors: what reads a transposed B in place.
BOOST_AUTO_TEST_CASE_TEMPLATE(few_rows_equal_the_sum, T, decltype(std::tuple<float, double>{})) {
  for (index_t m = 1; m <= 18; ++m)
    for (const index_t n : {1, 2, 3, 4, 5, 25, 97})
      for (const index_t k : {1, 7, 15, 16, 17, 700})
        BOOST_TEST_CONTEXT(m << " x " << n << " x " << k) {
          product<T>(false, true, m, n, k, T{1}, T{0}, std::numeric_limits<T>::quiet_NaN());
          product<T>(false, true, m, n, k, T{-0.5}, T{0.25}, T{2});
        }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(long_depths_equal_the_sum, T, decltype(std::tuple<float, double>{})) {
  for (const auto& [m, n, k] : {std::array<index_t, 3>{1, 130, 8071}, {23, 70, 15001}, {64, 129, 8192}}) {
    BOOST_TEST(host::detail::has_long_depth(m, n, k));
    product<T>(false, false, m, n, k, T{1}, T{0}, std::numeric_limits<T>::quiet_NaN());
    product<T>(false, false, m, n, k, T{-0.5}, T{0.25}, T{2});
  }
}

// Whose products these are: a build with EXPUNGE_BLAS must not quietly test our own kernel.
#if defined(EXPUNGE_BLAS_EIGEN) || defined(EXPUNGE_BLAS_OPENBLAS)
static_assert(host::detail::library_multiplies<float> && host::detail::library_multiplies<double>);
#elif defined(EXPUNGE_BLAS_ONEDNN)
static_assert(host::detail::library_multiplies<float> && !host::detail::library_multiplies<double>);
#else
static_assert(!host::detail::library_multiplies<float> && !host::detail::library_multiplies<double>);
#endif

BOOST_AUTO_TEST_CASE(the_same_bits_for_any_number_of_threads) {
  thread_pool& pool = thread_pool::instance();
  const std::size_t threads = pool.threads();
  const auto all = [&](std::size_t count) {
    pool.set_threads(count);
    std::vector<float> out;
    for (const auto& [ta, tb, m, n, k] : {std::tuple{false, true, 450, 160, 200}, {false, true, 9, 700, 130}, {false, false, 100, 330, 700}, {true, false, 700, 310, 100}, {false, false, 20, 70, 15000}}) {
      const auto c = product<float>(ta, tb, m, n, k, 1, 0, 0);
      out.insert(out.end(), c.begin(), c.end());
    }
    return out;
  };
  const auto alone = all(1), shared = all(3);
  pool.set_threads(threads);
  BOOST_TEST((alone == shared));
}

BOOST_AUTO_TEST_SUITE_END()
