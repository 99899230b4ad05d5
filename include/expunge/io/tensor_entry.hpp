// A named tensor inside a weight file: element type, extents and the bytes it occupies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "expunge/core/shape.hpp"

namespace expunge::io {

/// Element types, little-endian in files. A boolean takes one byte.
enum class dtype : std::uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8, boolean };

/// Not whole numbers: the first four.
[[nodiscard]] inline bool is_floating(dtype type) { return type <= dtype::bf16; }

/// Bytes of one element.
inline std::size_t size_of(dtype type) {
  switch (type) {
    case dtype::f64: case dtype::i64: case dtype::u64: return 8;
    case dtype::f32: case dtype::i32: case dtype::u32: return 4;
    case dtype::f16: case dtype::bf16: case dtype::i16: case dtype::u16: return 2;
    case dtype::i8: case dtype::u8: case dtype::boolean: return 1;
  }
  fail("size_of: not a dtype: ", static_cast<int>(type));
}

/// A dense row-major tensor. `bytes` points into memory that someone else owns: a mapped file or a model.
struct tensor_entry {
  std::string name;
  dtype type = dtype::f32;
  std::vector<index_t> extents;  // outermost first; empty for a scalar
  std::span<const std::byte> bytes;
};

/// Product of the extents; nothing when an extent is negative or the product exceeds index_t.
inline std::optional<index_t> element_count(std::span<const index_t> extents) {
  index_t product = 1;
  for (const index_t extent : extents) {
    if (extent < 0 || __builtin_mul_overflow(product, extent, &product)) return std::nullopt;
  }
  return product;
}

/// "[2, 3]", for messages.
inline std::string to_string(std::span<const index_t> extents) {
  std::string text = "[";
  for (const index_t extent : extents) text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

}  // namespace expunge::io
