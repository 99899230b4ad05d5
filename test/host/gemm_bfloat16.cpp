// Products of operands rounded to bf16, against the same rounded operands in double, and whether the rounding takes place.
#include <boost/test/unit_test.hpp>

#include <array>
#include <cmath>
#include <limits>

#include "expunge/core/random.hpp"
#include "expunge/tensor/bfloat16_host_storage.hpp"
#include "expunge/tensor/host/gemm_bfloat16.hpp"
#include "expunge/tensor/math.hpp"

#include "../larger_error.hpp"

using namespace expunge;

namespace {

std::vector<float> noise(index_t size, std::uint64_t seed) {
  std::vector<float> out(static_cast<std::size_t>(size));
  philox random(seed);
  for (float& x : out) x = static_cast<float>(uniform01(random)) - 0.5F;
  return out;
}

void check(bool ta, bool tb, index_t m, index_t n, index_t k, float alpha, float beta, float before) {
  const auto a = noise(m * k, 1), b = noise(k * n, 2);
  std::vector<float> c(static_cast<std::size_t>(m * n), before);
  host::gemm_bfloat16(ta, tb, m, n, k, alpha, a.data(), b.data(), beta, c.data());
  double worst = 0, unrounded = 0;
  for (index_t i = 0; i < m; ++i)
    for (index_t j = 0; j < n; ++j) {
      double sum = 0, exact = 0;
      for (index_t p = 0; p < k; ++p) {
        const float x = a[static_cast<std::size_t>(ta ? p * m + i : i * k + p)], y = b[static_cast<std::size_t>(tb ? j * k + p : p * n + j)];
        const auto operand = [&](float v) { return static_cast<double>(m == 1 || n == 1 ? v : float_from_bf16(bf16_from_float(v))); };
        sum += operand(x) * operand(y);
        exact += static_cast<double>(x) * static_cast<double>(y);
      }
      const double kept = beta == 0 ? 0 : static_cast<double>(beta * before), found = static_cast<double>(c[static_cast<std::size_t>(i * n + j)]);
      worst = testing::larger_error(worst, std::abs(static_cast<double>(alpha) * sum + kept - found));
      unrounded = std::max(unrounded, std::abs(static_cast<double>(alpha) * exact + kept - found));
    }
  BOOST_TEST(worst <= 4e-7 * static_cast<double>(k + 1));           // float sums of rounded operands
  BOOST_TEST(unrounded <= 0x1p-7 * std::sqrt(static_cast<double>(k)));  // bf16's own error: 2^-9 an operand
  if (m == 1 || n == 1) BOOST_TEST(unrounded == worst);              // vectors are not rounded
  else if (k > 8 && m * n > 8) BOOST_TEST(unrounded > 10 * worst);   // and it is there
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gemm_bfloat16)

BOOST_AUTO_TEST_CASE(equals_the_sum_of_rounded_operands) {
  for (const auto& [m, n, k] : {std::array<index_t, 3>{1, 1, 1}, {13, 31, 17}, {33, 65, 40}, {43, 70, 1100}, {300, 64, 9}, {2, 130, 33}, {20, 5, 4100}, {1, 40, 900}, {70, 1, 900}})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        BOOST_TEST_CONTEXT(m << " x " << n << " x " << k << (ta ? " A transposed" : "") << (tb ? " B transposed" : "")) {
          check(ta, tb, m, n, k, 1, 0, std::numeric_limits<float>::quiet_NaN());
          check(ta, tb, m, n, k, -0.5F, 1, 2);
          check(ta, tb, m, n, k, 2, 0.25F, 1);
        }
      }
}

BOOST_AUTO_TEST_CASE(both_products_of_the_storage_round) {
  using X = tensor<float, bfloat16_host_storage<float>>;
  constexpr float one = 1 + 0x1p-9F;  // which rounds to 1
  const X unit(shape{2, 2}, std::vector<float>{one, 0, 0, one}), x(shape{2, 2}, std::vector<float>{1, 2, 3, 4});
  X product(shape{2, 2}), linear(shape{2, 2});
  gemm(false, false, 1.0F, unit, x, 0.0F, product);
  linear_into(x, unit, X{}, X{}, linear);
  BOOST_TEST((product.to_vector() == x.to_vector()));
  BOOST_TEST((linear.to_vector() == x.to_vector()));
}

BOOST_AUTO_TEST_CASE(the_same_bits_for_any_number_of_threads) {
  thread_pool& pool = thread_pool::instance();
  const std::size_t threads = pool.threads();
  const auto a = noise(100 * 300, 1), b = noise(300 * 200, 2);
  std::array<std::vector<float>, 2> c;
  for (const std::size_t i : {0U, 1U}) {
    pool.set_threads(i == 0 ? 1 : 3);
    c[i].resize(100 * 200);
    host::gemm_bfloat16(false, true, 100, 200, 300, 1, a.data(), b.data(), 0, c[i].data());
  }
  pool.set_threads(threads);
  BOOST_TEST((c[0] == c[1]));
}

BOOST_AUTO_TEST_SUITE_END()
