// Conversion of the elements of GGUF tensors, quantised ones among them, to float or double.
// Source: the block layouts of ggml-common.h and the loops of ggml-quants.c, https://github.com/ggml-org/ggml.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "expunge/core/error.hpp"
#include "expunge/core/thread_pool.hpp"
#include "expunge/io/elements.hpp"
#include "expunge/io/gguf_type.hpp"
#include "expunge/io/half.hpp"

namespace expunge::io {

namespace detail {

inline float f16_at(const std::uint8_t* p) {
  return float_from_f16(static_cast<std::uint16_t>(p[0] | (unsigned{p[1]} << 8U)));
}

// Each function decodes one block. Layout: scale [, minimum] [, fifth bits of the 32 quants], 16 bytes of low nibbles.
template <bool has_minimum, bool has_fifth_bit>
void decode_nibbles(const std::uint8_t* p, float* out) {
  const float scale = f16_at(p);
  const float minimum = has_minimum ? f16_at(p + 2) : (has_fifth_bit ? -16.0F : -8.0F) * scale;
  p += has_minimum ? 4 : 2;
  std::uint32_t fifth = 0;
  if constexpr (has_fifth_bit) {
    std::memcpy(&fifth, p, sizeof fifth);
    p += sizeof fifth;
  }
  for (unsigned i = 0; i < 16; ++i) {
    const unsigned low = (p[i] & 15U) | (((fifth >> i) & 1U) << 4U);
    const unsigned high = (p[i] >> 4U) | (((fifth >> (i + 16)) & 1U) << 4U);
    out[i] = scale * static_cast<float>(low) + minimum;
    out[i + 16] = scale * static_cast<float>(high) + minimum;
  }
}

inline void decode_q8_0(const std::uint8_t* p, float* out) {
  const float scale = f16_at(p);
  for (int i = 0; i < 32; ++i) out[i] = scale * static_cast<float>(static_cast<std::int8_t>(p[2 + i]));
}

// Scale, scale of the minima, 8 + 8 six-bit factors in 12 bytes [, 32 bytes of fifth bits], 128 bytes of nibbles.
template <bool has_fifth_bit>
void decode_q4_k_or_q5_k(const std::uint8_t* p, float* out) {
  const float scale = f16_at(p);
  const float minimum = f16_at(p + 2);
  const std::uint8_t* factors = p + 4;
  const std::uint8_t* fifth = p + 16;
  const std::uint8_t* nibbles = has_fifth_bit ? fifth + 32 : fifth;
  for (unsigned group = 0; group < 8; ++group) {  // of 32 elements
    const unsigned a = factors[group % 4], b = factors[group % 4 + 4], c = factors[group % 4 + 8];
    const unsigned scale_factor = group < 4 ? a & 63U : (c & 15U) | ((a >> 6U) << 4U);
    const unsigned minimum_factor = group < 4 ? b & 63U : (c >> 4U) | ((b >> 6U) << 4U);
    const float d = scale * static_cast<float>(scale_factor);
    const float m = minimum * static_cast<float>(minimum_factor);
    for (unsigned i = 0; i < 32; ++i) {
      unsigned quant = (nibbles[group / 2 * 32 + i] >> (group % 2 * 4)) & 15U;
      if constexpr (has_fifth_bit) quant |= ((unsigned{fifth[i]} >> group) & 1U) << 4U;
      out[group * 32 + i] = d * static_cast<float>(quant) - m;
    }
  }
}

// 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 signed factors, scale.
inline void decode_q6_k(const std::uint8_t* p, float* out) {
  const float scale = f16_at(p + 208);
  for (unsigned i = 0; i < 256; ++i) {
    const unsigned half = i / 128, row = i % 128 / 32, column = i % 32;
    const unsigned low = (p[half * 64 + row % 2 * 32 + column] >> (row / 2 * 4)) & 15U;
    const unsigned high = (unsigned{p[128 + half * 32 + column]} >> (row * 2)) & 3U;
    const auto factor = static_cast<float>(static_cast<std::int8_t>(p[192 + i / 16]));
    out[i] = scale * factor * (static_cast<float>(low | (high << 4U)) - 32.0F);
  }
}

template <class Value>
void decode_blocks(const gguf_type& type, std::span<const std::byte> bytes, std::span<Value> out,
                   void (*decode)(const std::uint8_t*, float*)) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  parallel_blocks(std::ssize(out) / static_cast<index_t>(type.block), 256, [&](index_t begin, index_t end) {
    std::array<float, 256> values;
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      decode(data + i * type.block_bytes, values.data());
      std::copy_n(values.data(), type.block, out.data() + i * type.block);
    }
  });
}

}  // namespace detail

/// Converts elements of `type` to Value. Throws expunge::error when the type cannot be decoded, and unless `bytes`
/// holds exactly out.size() elements.
template <std::floating_point Value>
void decode_gguf_elements(const gguf_type& type, std::span<const std::byte> bytes, std::span<Value> out) {
  require(out.size() % type.block == 0 && bytes.size() % type.block_bytes == 0 &&
              out.size() / type.block == bytes.size() / type.block_bytes,
          bytes.size(), " bytes of ", type.name, " do not fill a destination of ", out.size(), " elements");
  switch (type.code) {
    case gguf_code::f64: return decode_elements(dtype::f64, bytes, out);
    case gguf_code::f32: return decode_elements(dtype::f32, bytes, out);
    case gguf_code::f16: return decode_elements(dtype::f16, bytes, out);
    case gguf_code::bf16: return decode_elements(dtype::bf16, bytes, out);
    case gguf_code::i64: return decode_elements(dtype::i64, bytes, out);
    case gguf_code::i32: return decode_elements(dtype::i32, bytes, out);
    case gguf_code::i16: return decode_elements(dtype::i16, bytes, out);
    case gguf_code::i8: return decode_elements(dtype::i8, bytes, out);
    case gguf_code::q8_0: return detail::decode_blocks(type, bytes, out, detail::decode_q8_0);
    case gguf_code::q4_0: return detail::decode_blocks(type, bytes, out, detail::decode_nibbles<false, false>);
    case gguf_code::q4_1: return detail::decode_blocks(type, bytes, out, detail::decode_nibbles<true, false>);
    case gguf_code::q5_0: return detail::decode_blocks(type, bytes, out, detail::decode_nibbles<false, true>);
    case gguf_code::q5_1: return detail::decode_blocks(type, bytes, out, detail::decode_nibbles<true, true>);
    case gguf_code::q4_k: return detail::decode_blocks(type, bytes, out, detail::decode_q4_k_or_q5_k<false>);
    case gguf_code::q5_k: return detail::decode_blocks(type, bytes, out, detail::decode_q4_k_or_q5_k<true>);
    case gguf_code::q6_k: return detail::decode_blocks(type, bytes, out, detail::decode_q6_k);
  }
  fail("elements of type ", type.name, " are not supported; convert the file to F64, F32, F16, BF16, integers, Q8_0, "
       "Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K");
}

}  // namespace expunge::io
