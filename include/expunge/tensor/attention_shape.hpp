// The extents of an attention.
#pragma once

#include "expunge/core/shape.hpp"

namespace expunge {

/// Extents of an attention over `examples` ragged examples with `rows` tokens in all, and more keys where values have a past; kv_heads
/// divides heads.
struct attention_shape {
  index_t examples, heads, kv_heads, dim, rows, key_rows = rows;
};

}  // namespace expunge
