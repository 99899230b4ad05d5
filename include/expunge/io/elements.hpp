// Conversion of the stored elements of a tensor to float or double.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>

#include "expunge/core/bfloat16.hpp"
#include "expunge/core/error.hpp"
#include "expunge/core/thread_pool.hpp"
#include "expunge/io/half.hpp"
#include "expunge/io/tensor_entry.hpp"

namespace expunge::io {

namespace detail {

template <class Stored, class Value, class Convert = std::identity>
void decode_as(std::span<const std::byte> bytes, std::span<Value> out, Convert convert = {}) {
  parallel_blocks(std::ssize(out), index_t{1} << 16, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i);
      Stored stored;
      std::memcpy(&stored, bytes.data() + at * sizeof(Stored), sizeof(Stored));  // files need not be aligned
      out[at] = static_cast<Value>(convert(stored));
    }
  });
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

}  // namespace expunge::io
