// The primitive operations: all that a storage must be able to run. Each is a name with its host kernel; another device
// adds its own way to run it (`Storage::run<primitive::gemm>(...)`), and nothing above tensor/ sees the difference.
#pragma once

#include "expunge/tensor/host/attention.hpp"
#include "expunge/tensor/host/cross_entropy.hpp"
#include "expunge/tensor/host/gemm.hpp"
#include "expunge/tensor/host/instances.hpp"
#include "expunge/tensor/host/layer_norm.hpp"
#include "expunge/tensor/host/linear.hpp"
#include "expunge/tensor/host/map.hpp"
#include "expunge/tensor/host/rms_norm.hpp"
#include "expunge/tensor/host/rotary.hpp"
#include "expunge/tensor/host/rows.hpp"

// What a storage must be able to run, KERNEL(name, T) each, and `linear`; the host kernel of the same name documents arguments and arithmetic.
// expunge::compiled holds those of the first list; `map` has lists of its own, beside the functors.
#define EXPUNGE_HOST_KERNELS(KERNEL, T)                                                                                           \
  KERNEL(gemm, T) KERNEL(gather_rows, T) KERNEL(scatter_add_rows, T) KERNEL(broadcast_row, T)                                     \
  KERNEL(column_sum, T) KERNEL(segment_sum, T) KERNEL(segment_broadcast, T) KERNEL(segment_multiply, T) KERNEL(scale_rows, T)     \
  KERNEL(segment_products, T) KERNEL(rms_norm, T) KERNEL(layer_norm, T) KERNEL(norm_pushforward, T) KERNEL(norm_pullback, T)        \
  KERNEL(norm_pullback_tangent, T) KERNEL(rotary, T) KERNEL(attention, T) KERNEL(attention_pushforward, T)                        \
  KERNEL(attention_pullback, T) KERNEL(attention_pullback_tangent, T) KERNEL(softmax_statistics, T)                               \
  KERNEL(softmax_statistics_tangent, T) KERNEL(cross_entropy_pullback, T) KERNEL(cross_entropy_pullback_tangent, T)
#define EXPUNGE_PRIMITIVES(KERNEL, T) \
  KERNEL(map, T) KERNEL(map_each, T) KERNEL(map_sum, T) KERNEL(map_sum_each, T) EXPUNGE_HOST_KERNELS(KERNEL, T)

namespace expunge::primitive {

#define EXPUNGE_PRIMITIVE(NAME, T) struct NAME { static void host(const auto&... a) { host::NAME(a...); } };
EXPUNGE_PRIMITIVES(EXPUNGE_PRIMITIVE, )
#undef EXPUNGE_PRIMITIVE
struct linear {
  static void host(const auto&... a) { host::linear([](const auto&... of) { host::gemm(of...); }, a...); }
};

}  // namespace expunge::primitive

EXPUNGE_INSTANCES(EXPUNGE_HOST_KERNELS, EXPUNGE_HOST_KERNEL)
