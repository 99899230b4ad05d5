// Conversion between the stored elements of a tensor and float or double.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/core/thread_pool.hpp"
#include "expunge/io/half.hpp"
#include "expunge/io/tensor_entry.hpp"

namespace expunge::io {

namespace detail {

inline constexpr index_t conversion_grain = index_t{1} << 16;  // elements a block of parallel work

template <class Stored, class Value, class Convert>
void decode_as(std::span<const std::byte> bytes, std::span<Value> out, Convert convert) {
  parallel_blocks(std::ssize(out), conversion_grain, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i);
      Stored stored;
      std::memcpy(&stored, bytes.data() + at * sizeof(Stored), sizeof(Stored));  // files need not be aligned
      out[at] = static_cast<Value>(convert(stored));
    }
  });
}

template <class Stored, class Value>
void decode_as(std::span<const std::byte> bytes, std::span<Value> out) {
  decode_as<Stored>(bytes, out, [](Stored stored) { return static_cast<Value>(stored); });
}

template <class Stored, class Value, class Convert>
std::vector<std::byte> encode_as(std::span<const Value> values, Convert convert) {
  std::vector<std::byte> bytes(values.size() * sizeof(Stored));
  parallel_blocks(std::ssize(values), conversion_grain, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const Stored stored = convert(values[at]);
      std::memcpy(bytes.data() + at * sizeof(Stored), &stored, sizeof(Stored));
    }
  });
  return bytes;
}

}  // namespace detail

/// Converts elements of any type to Value, rounding to nearest where Value is narrower. Throws expunge::error unless
/// `bytes` holds exactly out.size() elements.
template <std::floating_point Value>
void decode_elements(dtype type, std::span<const std::byte> bytes, std::span<Value> out) {
  require(bytes.size() / size_of(type) == out.size() && bytes.size() % size_of(type) == 0, "decode_elements: ",
          bytes.size(), " bytes of elements of ", size_of(type), " bytes do not fill a destination of ", out.size());
  switch (type) {
    case dtype::f64: return detail::decode_as<double>(bytes, out);
    case dtype::f32: return detail::decode_as<float>(bytes, out);
    case dtype::f16: return detail::decode_as<std::uint16_t>(bytes, out, float_from_f16);
    case dtype::bf16: return detail::decode_as<std::uint16_t>(bytes, out, float_from_bf16);
    case dtype::i64: return detail::decode_as<std::int64_t>(bytes, out);
    case dtype::i32: return detail::decode_as<std::int32_t>(bytes, out);
    case dtype::i16: return detail::decode_as<std::int16_t>(bytes, out);
    case dtype::i8: return detail::decode_as<std::int8_t>(bytes, out);
    case dtype::u64: return detail::decode_as<std::uint64_t>(bytes, out);
    case dtype::u32: return detail::decode_as<std::uint32_t>(bytes, out);
    case dtype::u16: return detail::decode_as<std::uint16_t>(bytes, out);
    case dtype::u8: case dtype::boolean: return detail::decode_as<std::uint8_t>(bytes, out);
  }
}

/// The bytes of `values` as f64, f32, f16 or bf16 (round to nearest even; double goes to 16 bits by way of float).
/// Throws expunge::error for other types: weights are not rounded to integers silently.
template <std::floating_point Value>
[[nodiscard]] std::vector<std::byte> encode_elements(std::span<const Value> values, dtype type) {
  switch (type) {
    case dtype::f64: return detail::encode_as<double>(values, [](Value v) { return static_cast<double>(v); });
    case dtype::f32: return detail::encode_as<float>(values, [](Value v) { return static_cast<float>(v); });
    case dtype::f16:
      return detail::encode_as<std::uint16_t>(values, [](Value v) { return f16_from_float(static_cast<float>(v)); });
    case dtype::bf16:
      return detail::encode_as<std::uint16_t>(values, [](Value v) { return bf16_from_float(static_cast<float>(v)); });
    default: fail("encode_elements: floating-point values are stored as f64, f32, f16 or bf16 only");
  }
}

}  // namespace expunge::io
