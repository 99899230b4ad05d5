#include "expunge/core/bfloat16.hpp"
#include "expunge/io/half.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include <boost/test/unit_test.hpp>

using namespace expunge;
using io::float_from_f16;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// Checks the rounding of everything between each neighbouring pair of non-negative 16-bit values below `infinite`, the
// pattern of infinity, which counts as the next power of two.
template <class ToFloat, class FromFloat>
bool rounds_to_nearest_even(std::uint16_t infinite, double after_largest, ToFloat to_float, FromFloat from_float) {
  for (std::uint16_t low = 0; low < infinite; ++low) {
    const auto high = static_cast<std::uint16_t>(low + 1);
    const double above = high == infinite ? after_largest : static_cast<double>(to_float(high));
    const auto middle = static_cast<float>((static_cast<double>(to_float(low)) + above) / 2);
    const std::uint16_t even = low % 2 == 0 ? low : high;
    if (from_float(to_float(low)) != low || from_float(middle) != even ||
        from_float(std::nextafter(middle, 0.0F)) != low || from_float(std::nextafter(middle, infinity)) != high ||
        from_float(-middle) != (even | 0x8000U))
      return false;
  }
  return true;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(half)

BOOST_AUTO_TEST_CASE(f16_known_values) {
  BOOST_TEST(float_from_f16(0x3C00) == 1.0F);
  BOOST_TEST(float_from_f16(0xC000) == -2.0F);
  BOOST_TEST(float_from_f16(0x7BFF) == 65504.0F);
  BOOST_TEST(float_from_f16(0x0001) == 0x1p-24F);
  BOOST_TEST(float_from_f16(0x0400) == 0x1p-14F);
  BOOST_TEST(float_from_f16(0xFC00) == -infinity);
  BOOST_TEST(std::signbit(float_from_f16(0x8000)));
  BOOST_TEST(std::isnan(float_from_f16(0x7C01)));
}

BOOST_AUTO_TEST_CASE(bf16_rounding) {
  BOOST_TEST(float_from_bf16(0x3F80) == 1.0F);
  BOOST_TEST(rounds_to_nearest_even(0x7F80, 0x1p128, float_from_bf16, bf16_from_float));
  BOOST_TEST(bf16_from_float(std::numeric_limits<float>::max()) == 0x7F80);
  BOOST_TEST(bf16_from_float(-infinity) == 0xFF80);
  BOOST_TEST(std::isnan(float_from_bf16(bf16_from_float(std::bit_cast<float>(0x7F800001U)))));
}

BOOST_AUTO_TEST_SUITE_END()
