// bf16 bit patterns (the upper half of a float) from and to float.
#pragma once

#include <bit>
#include <cstdint>

namespace expunge {

/// Exact.
inline float float_from_bf16(std::uint16_t brain) { return std::bit_cast<float>(std::uint32_t{brain} << 16U); }

/// Round to nearest, ties to even; overflow becomes infinity, NaN stays a (quiet) NaN.
inline std::uint16_t bf16_from_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = bits + 0x7FFFU + ((bits >> 16U) & 1U), quiet = bits | 0x00400000U;
  return static_cast<std::uint16_t>(((bits & 0x7FFFFFFFU) > 0x7F800000U ? quiet : rounded) >> 16U);  // no branch: loops vectorize
}

}  // namespace expunge
