// Element types and tensors of GGUF files.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "expunge/core/shape.hpp"

namespace expunge::io {

/// The element types that can be decoded, by their numbers in files.
enum class gguf_code : std::uint32_t {
  f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q5_0 = 6, q5_1 = 7, q8_0 = 8, q4_k = 12, q5_k = 13, q6_k = 14,
  i8 = 24, i16 = 25, i32 = 26, i64 = 27, f64 = 28, bf16 = 30
};

/// An element type: consecutive elements of a row share blocks of `block` elements in `block_bytes` bytes.
struct gguf_type {
  gguf_code code;
  std::string_view name;
  std::size_t block;
  std::size_t block_bytes;
};

/// The types that files contain. Those without a gguf_code of their own can be listed but not decoded.
inline constexpr std::array<gguf_type, 32> gguf_types{{
    {gguf_code::f32, "F32", 1, 4},        {gguf_code::f16, "F16", 1, 2},        {gguf_code::q4_0, "Q4_0", 32, 18},
    {gguf_code::q4_1, "Q4_1", 32, 20},    {gguf_code::q5_0, "Q5_0", 32, 22},    {gguf_code::q5_1, "Q5_1", 32, 24},
    {gguf_code::q8_0, "Q8_0", 32, 34},    {gguf_code{10}, "Q2_K", 256, 84},     {gguf_code{11}, "Q3_K", 256, 110},
    {gguf_code::q4_k, "Q4_K", 256, 144},  {gguf_code::q5_k, "Q5_K", 256, 176},  {gguf_code::q6_k, "Q6_K", 256, 210},
    {gguf_code{16}, "IQ2_XXS", 256, 66},  {gguf_code{17}, "IQ2_XS", 256, 74},   {gguf_code{18}, "IQ3_XXS", 256, 98},
    {gguf_code{19}, "IQ1_S", 256, 50},    {gguf_code{20}, "IQ4_NL", 32, 18},    {gguf_code{21}, "IQ3_S", 256, 110},
    {gguf_code{22}, "IQ2_S", 256, 82},    {gguf_code{23}, "IQ4_XS", 256, 136},  {gguf_code::i8, "I8", 1, 1},
    {gguf_code::i16, "I16", 1, 2},        {gguf_code::i32, "I32", 1, 4},        {gguf_code::i64, "I64", 1, 8},
    {gguf_code::f64, "F64", 1, 8},        {gguf_code{29}, "IQ1_M", 256, 56},    {gguf_code::bf16, "BF16", 1, 2},
    {gguf_code{34}, "TQ1_0", 256, 54},    {gguf_code{35}, "TQ2_0", 256, 66},    {gguf_code{39}, "MXFP4", 32, 17},
    {gguf_code{40}, "NVFP4", 64, 36},     {gguf_code{41}, "Q1_0", 128, 18},
}};

/// A tensor of a GGUF file, row-major; rows of quantised types are whole blocks. `bytes` points into the mapped file.
struct gguf_tensor {
  std::string name;
  gguf_type type;
  std::vector<index_t> extents;  // outermost first: the reverse of the order in the file
  std::span<const std::byte> bytes;
};

}  // namespace expunge::io
