// The extents of an attention.
#pragma once

#include "expunge/core/shape.hpp"

namespace expunge {

/// Extents of an attention over `examples` ragged examples with `rows` tokens in all; kv_heads divides heads.
struct attention_shape {
  index_t examples, heads, kv_heads, dim, rows;
};

}  // namespace expunge
