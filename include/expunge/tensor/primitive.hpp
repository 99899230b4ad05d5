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

namespace expunge::primitive {

// One line a primitive; the host kernel of the same name documents arguments and arithmetic.
// clang-format off
struct map { static void host(const auto&... a) { host::map(a...); } };
struct map_each { static void host(const auto&... a) { host::map_each(a...); } };
struct linear { static void host(const auto&... a) { host::linear([](const auto&... of) { host::gemm(of...); }, a...); } };
struct gemm { static void host(const auto&... a) { host::gemm(a...); } };
struct map_sum { static void host(const auto&... a) { host::map_sum(a...); } };
struct map_sum_each { static void host(const auto&... a) { host::map_sum_each(a...); } };
struct gather_rows { static void host(const auto&... a) { host::gather_rows(a...); } };
struct scatter_add_rows { static void host(const auto&... a) { host::scatter_add_rows(a...); } };
struct broadcast_row { static void host(const auto&... a) { host::broadcast_row(a...); } };
struct column_sum { static void host(const auto&... a) { host::column_sum(a...); } };
struct segment_sum { static void host(const auto&... a) { host::segment_sum(a...); } };
struct segment_broadcast { static void host(const auto&... a) { host::segment_broadcast(a...); } };
struct segment_multiply { static void host(const auto&... a) { host::segment_multiply(a...); } };
struct scale_rows { static void host(const auto&... a) { host::scale_rows(a...); } };
struct segment_products { static void host(const auto&... a) { host::segment_products(a...); } };
struct rms_norm { static void host(const auto&... a) { host::rms_norm(a...); } };
struct layer_norm { static void host(const auto&... a) { host::layer_norm(a...); } };
struct norm_pushforward { static void host(const auto&... a) { host::norm_pushforward(a...); } };
struct norm_pullback { static void host(const auto&... a) { host::norm_pullback(a...); } };
struct norm_pullback_tangent { static void host(const auto&... a) { host::norm_pullback_tangent(a...); } };
struct rotary { static void host(const auto&... a) { host::rotary(a...); } };
struct attention { static void host(const auto&... a) { host::attention(a...); } };
struct attention_pushforward { static void host(const auto&... a) { host::attention_pushforward(a...); } };
struct attention_pullback { static void host(const auto&... a) { host::attention_pullback(a...); } };
struct attention_pullback_tangent { static void host(const auto&... a) { host::attention_pullback_tangent(a...); } };
struct softmax_statistics { static void host(const auto&... a) { host::softmax_statistics(a...); } };
struct softmax_statistics_tangent { static void host(const auto&... a) { host::softmax_statistics_tangent(a...); } };
struct cross_entropy_pullback { static void host(const auto&... a) { host::cross_entropy_pullback(a...); } };
struct cross_entropy_pullback_tangent { static void host(const auto&... a) { host::cross_entropy_pullback_tangent(a...); } };
// clang-format on

}  // namespace expunge::primitive

// The kernels that expunge::compiled holds; `map` has lists of its own, beside the functors.
#define EXPUNGE_HOST_KERNELS(KERNEL, T)                                                                                           \
  KERNEL(gemm, T) KERNEL(gather_rows, T) KERNEL(scatter_add_rows, T) KERNEL(broadcast_row, T)                                     \
  KERNEL(column_sum, T) KERNEL(segment_sum, T) KERNEL(segment_broadcast, T) KERNEL(segment_multiply, T) KERNEL(scale_rows, T)     \
  KERNEL(segment_products, T) KERNEL(rms_norm, T) KERNEL(layer_norm, T) KERNEL(norm_pushforward, T) KERNEL(norm_pullback, T)        \
  KERNEL(norm_pullback_tangent, T) KERNEL(rotary, T) KERNEL(attention, T) KERNEL(attention_pushforward, T)                        \
  KERNEL(attention_pullback, T) KERNEL(attention_pullback_tangent, T) KERNEL(softmax_statistics, T)                               \
  KERNEL(softmax_statistics_tangent, T) KERNEL(cross_entropy_pullback, T) KERNEL(cross_entropy_pullback_tangent, T)
EXPUNGE_INSTANCES(EXPUNGE_HOST_KERNELS, EXPUNGE_HOST_KERNEL)
