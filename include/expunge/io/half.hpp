// 16-bit floating point: conversions of f16 (IEEE binary16) and bf16 bit patterns from and to float.
#pragma once

#include <bit>
#include <cstdint>

#include "expunge/core/bfloat16.hpp"

namespace expunge::io {

/// Exact. Subnormals, infinities and NaNs included.
inline float float_from_f16(std::uint16_t half) {
  const std::uint32_t sign = (std::uint32_t{half} & 0x8000U) << 16U;
  const std::uint32_t magnitude = std::uint32_t{half} & 0x7FFFU;
  // The exponent moves from bias 15 to bias 127: 112 = 224 - 112 so that infinity keeps its all-ones exponent.
  const float normal = std::bit_cast<float>((magnitude << 13U) + (224U << 23U)) * 0x1p-112F;
  const float subnormal = std::bit_cast<float>(magnitude | (126U << 23U)) - 0.5F;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude < 0x0400U ? subnormal : normal));
}

/// Round to nearest, ties to even; overflow becomes infinity, NaN stays a (quiet) NaN.
inline std::uint16_t f16_from_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16U) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  std::uint32_t half = 0;
  if (magnitude > 0x7F800000U) {
    half = 0x7E00U | ((magnitude >> 13U) & 0x03FFU);
  } else if (magnitude >= 0x47800000U) {  // 65536 and above
    half = 0x7C00U;
  } else if (magnitude < 0x38800000U) {  // below 2^-14: adding 0.5 rounds at the unit of the subnormals, 2^-24
    half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - (126U << 23U);
  } else {  // rounding may carry into the exponent, and from 65520 on into infinity
    half = (magnitude - (112U << 23U) + 0x0FFFU + ((magnitude >> 13U) & 1U)) >> 13U;
  }
  return static_cast<std::uint16_t>(sign | half);
}

using expunge::bf16_from_float;
using expunge::float_from_bf16;

}  // namespace expunge::io
