// Which CUDA kernel runs a primitive.
#pragma once

#include "expunge/tensor/cuda/kernels.hpp"
#include "expunge/tensor/primitive.hpp"

namespace expunge::cuda {

template <class Primitive>
struct kernel;

// clang-format off
template <> struct kernel<primitive::map> { static void launch(const auto&... a) { cuda::map(a...); } };
template <> struct kernel<primitive::map_each> { static void launch(const auto&... a) { cuda::map_each(a...); } };
template <> struct kernel<primitive::linear> { static void launch(const auto&... a) { cuda::linear(a...); } };
template <> struct kernel<primitive::gemm> { static void launch(const auto&... a) { cuda::gemm(a...); } };
template <> struct kernel<primitive::map_sum> { static void launch(const auto&... a) { cuda::map_sum(a...); } };
template <> struct kernel<primitive::map_sum_each> { static void launch(const auto&... a) { cuda::map_sum_each(a...); } };
template <> struct kernel<primitive::gather_rows> { static void launch(const auto&... a) { cuda::gather_rows(a...); } };
template <> struct kernel<primitive::scatter_add_rows> { static void launch(const auto&... a) { cuda::scatter_add_rows(a...); } };
template <> struct kernel<primitive::broadcast_row> { static void launch(const auto&... a) { cuda::broadcast_row(a...); } };
template <> struct kernel<primitive::column_sum> { static void launch(const auto&... a) { cuda::column_sum(a...); } };
template <> struct kernel<primitive::segment_sum> { static void launch(const auto&... a) { cuda::segment_sum(a...); } };
template <> struct kernel<primitive::segment_broadcast> { static void launch(const auto&... a) { cuda::segment_broadcast(a...); } };
template <> struct kernel<primitive::scale_rows> { static void launch(const auto&... a) { cuda::scale_rows(a...); } };
template <> struct kernel<primitive::segment_multiply> { static void launch(const auto&... a) { cuda::segment_multiply(a...); } };
template <> struct kernel<primitive::segment_products> { static void launch(const auto&... a) { cuda::segment_products(a...); } };
template <> struct kernel<primitive::rms_norm> { static void launch(const auto&... a) { cuda::rms_norm(a...); } };
template <> struct kernel<primitive::layer_norm> { static void launch(const auto&... a) { cuda::layer_norm(a...); } };
template <> struct kernel<primitive::norm_pushforward> { static void launch(const auto&... a) { cuda::norm_pushforward(a...); } };
template <> struct kernel<primitive::norm_pullback> { static void launch(const auto&... a) { cuda::norm_pullback(a...); } };
template <> struct kernel<primitive::norm_pullback_tangent> { static void launch(const auto&... a) { cuda::norm_pullback_tangent(a...); } };
template <> struct kernel<primitive::rotary> { static void launch(const auto&... a) { cuda::rotary(a...); } };
template <> struct kernel<primitive::attention> { static void launch(const auto&... a) { cuda::attention(a...); } };
template <> struct kernel<primitive::attention_pushforward> { static void launch(const auto&... a) { cuda::attention_pushforward(a...); } };
template <> struct kernel<primitive::attention_pullback> { static void launch(const auto&... a) { cuda::attention_pullback(a...); } };
template <> struct kernel<primitive::attention_pullback_tangent> { static void launch(const auto&... a) { cuda::attention_pullback_tangent(a...); } };
template <> struct kernel<primitive::softmax_statistics> { static void launch(const auto&... a) { cuda::softmax_statistics(a...); } };
template <> struct kernel<primitive::softmax_statistics_tangent> { static void launch(const auto&... a) { cuda::softmax_statistics_tangent(a...); } };
template <> struct kernel<primitive::cross_entropy_pullback> { static void launch(const auto&... a) { cuda::cross_entropy_pullback(a...); } };
template <> struct kernel<primitive::cross_entropy_pullback_tangent> { static void launch(const auto&... a) { cuda::cross_entropy_pullback_tangent(a...); } };
// clang-format on

}  // namespace expunge::cuda
