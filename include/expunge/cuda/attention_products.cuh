// The products of an attention's tiles on tensor cores: operands rounded to bfloat16, sums in float.
#pragma once

#include <cuda_bf16.h>
#include <mma.h>

#include <cstddef>

#include "expunge/cuda/rounding.cuh"

namespace expunge::cuda {

/// For tiles of 64 queries by 64 keys and blocks of whole warps. See attention_tile for what its functions are asked.
struct bfloat16_products {
  using value_type = float;
  using operand_type = __nv_bfloat16;
  static constexpr int rows = 64, multiple = 16, padding = 8;
  static constexpr int rounded_stride = rows + 8;  // of scores as operands
  static constexpr std::size_t rounded_bytes = sizeof(__nv_bfloat16) * rows * rounded_stride;

  static __device__ void hold(const element_pack<float>& loaded, __nv_bfloat16* to) { store_rounded(loaded, to); }

  template <class Lanes>
  static __device__ const __nv_bfloat16* round_scores(const Lanes& lanes, const float* scores, int stride, __nv_bfloat16* to) {
    for (int item = lanes.index(); item < rows * rows / 4; item += lanes.count()) {
      const int i = item / (rows / 4), j = item % (rows / 4) * 4;
      hold(*reinterpret_cast<const element_pack<float>*>(scores + i * stride + j), to + i * rounded_stride + j);
    }
    return to;
  }

  /// Each warp takes 16 rows of x with 32 of y at a time.
  template <class Lanes>
  static __device__ void multiply(const Lanes& lanes, int count, int width, const __nv_bfloat16* x, const __nv_bfloat16* y, int stride,
                                  float factor, float* s, int s_stride, bool add) {
    for (int part = lanes.index() / 32; part < (count + 15) / 16 * (rows / 32); part += lanes.count() / 32) {
      const int i = part / (rows / 32) * 16, j = part % (rows / 32) * 32;
      sums total[2];
      for (sums& t : total) nvcuda::wmma::fill_fragment(t, 0.0F);
      for (int d = 0; d < width; d += 16) {
        left<nvcuda::wmma::row_major> a;
        nvcuda::wmma::load_matrix_sync(a, x + i * stride + d, stride);
        for (int v = 0; v < 2; ++v) {
          right<nvcuda::wmma::col_major> b;
          nvcuda::wmma::load_matrix_sync(b, y + (j + 16 * v) * stride + d, stride);
          nvcuda::wmma::mma_sync(total[v], a, b, total[v]);
        }
      }
      for (int v = 0; v < 2; ++v) {
        float* const to = s + i * s_stride + j + 16 * v;
        sums before;
        nvcuda::wmma::fill_fragment(before, 0.0F);
        if (add) nvcuda::wmma::load_matrix_sync(before, to, s_stride, nvcuda::wmma::mem_row_major);
        for (int e = 0; e < before.num_elements; ++e) before.x[e] += factor * total[v].x[e];
        nvcuda::wmma::store_matrix_sync(to, before, s_stride, nvcuda::wmma::mem_row_major);
      }
    }
  }

  template <class Lanes>
  static __device__ void combine(const Lanes& lanes, const __nv_bfloat16* s, int /*s_stride*/, bool transposed, int count, int width,
                                 const __nv_bfloat16* y, int stride, float* sum, int sum_stride) {
    if (transposed) add_product<nvcuda::wmma::col_major>(lanes, s, 1, rounded_stride, count, width, y, stride, sum, sum_stride);
    else add_product<nvcuda::wmma::row_major>(lanes, s, rounded_stride, 1, count, width, y, stride, sum, sum_stride);
  }

 private:
  using sums = nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, 16, float>;
  template <class Order>
  using left = nvcuda::wmma::fragment<nvcuda::wmma::matrix_a, 16, 16, 16, __nv_bfloat16, Order>;
  template <class Order>
  using right = nvcuda::wmma::fragment<nvcuda::wmma::matrix_b, 16, 16, 16, __nv_bfloat16, Order>;

  /// Each warp takes 16 rows of the sum with 32 (at its end perhaps 16) of its columns at a time; `down` and `along` are the steps from
  /// one row of the left operand and one of its columns to the next.
  template <class Order, class Lanes>
  static __device__ void add_product(const Lanes& lanes, const __nv_bfloat16* s, int down, int along, int count, int width, const __nv_bfloat16* y,
                                     int stride, float* sum, int sum_stride) {
    for (int part = lanes.index() / 32; part < rows / 16 * ((width + 31) / 32); part += lanes.count() / 32) {
      const int i = part % (rows / 16) * 16, d = part / (rows / 16) * 32, pieces = width - d >= 32 ? 2 : 1;
      sums total[2];
      for (int v = 0; v < 2; ++v)
        if (v < pieces) nvcuda::wmma::load_matrix_sync(total[v], sum + i * sum_stride + d + 16 * v, sum_stride, nvcuda::wmma::mem_row_major);
      for (int j = 0; j < count; j += 16) {
        left<Order> a;
        nvcuda::wmma::load_matrix_sync(a, s + i * down + j * along, rounded_stride);
        for (int v = 0; v < 2; ++v)
          if (v < pieces) {
            right<nvcuda::wmma::row_major> b;
            nvcuda::wmma::load_matrix_sync(b, y + j * stride + d + 16 * v, stride);
            nvcuda::wmma::mma_sync(total[v], a, b, total[v]);
          }
      }
      for (int v = 0; v < 2; ++v)
        if (v < pieces) nvcuda::wmma::store_matrix_sync(sum + i * sum_stride + d + 16 * v, total[v], sum_stride, nvcuda::wmma::mem_row_major);
    }
  }
};

}  // namespace expunge::cuda
