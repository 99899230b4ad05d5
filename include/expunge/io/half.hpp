// f16 (IEEE binary16) bit patterns to float.
#pragma once

#include <bit>
#include <cstdint>

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

}  // namespace expunge::io
