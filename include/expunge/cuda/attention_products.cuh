// The products of an attention's tiles on tensor cores: operands rounded to bfloat16, sums in float.
#pragma once

#include <cuda_bf16.h>

#include <cstddef>

#include "expunge/cuda/rounding.cuh"
#include "expunge/cuda/warp_matrix.cuh"

namespace expunge::cuda {

/// For tiles of 64 queries by 64 keys and blocks of whole warps. See attention_tile for what its functions are asked.
struct bfloat16_products {
  using value_type = float;
  using operand_type = __nv_bfloat16;
  static constexpr int rows = 64, multiple = 16, padding = 8;
  static constexpr unsigned tangent_threads = 512;  // of a block: a multiprocessor has room for one with four score matrices
  static constexpr int rounded_stride = rows + 8;  // of scores as operands
  static constexpr std::size_t rounded_bytes = sizeof(__nv_bfloat16) * rows * rounded_stride;

  static __device__ __forceinline__ void hold(const element_pack<float>& loaded, __nv_bfloat16* to) { store_rounded(loaded, to); }

  template <class Lanes>
  static __device__ __forceinline__ const __nv_bfloat16* round_scores(const Lanes& lanes, const float* scores, int stride, __nv_bfloat16* to) {
    for (int item = lanes.index(); item < rows * rows / 4; item += lanes.count()) {
      const int i = item / (rows / 4), j = item % (rows / 4) * 4;
      hold(*reinterpret_cast<const element_pack<float>*>(scores + i * stride + j), to + i * rounded_stride + j);
    }
    return to;
  }

  /// Each warp takes 16 rows of x with 16 of y at a time.
  template <class Lanes>
  static __device__ __forceinline__ void multiply(const Lanes& lanes, int count, int width, const __nv_bfloat16* x, const __nv_bfloat16* y, int stride,
                                                  float factor, float* s, int s_stride, bool add) {
    const int lane = lanes.index() % 32;
    for (int part = lanes.index() / 32; part < (count + 15) / 16 * (rows / 16); part += lanes.count() / 32) {
      const int i = part / (rows / 16) * 16, j = part % (rows / 16) * 16;
      const __nv_bfloat16* const left = x + (i + lane % 16) * stride + lane / 16 * 8;
      const __nv_bfloat16* const right = y + (j + lane % 8 + lane / 16 * 8) * stride + lane / 8 % 2 * 8;
      float total[2][4] = {};
      for (int d = 0; d < width; d += 16) {
        const matrix_registers a = load_matrices<false>(left + d), b = load_matrices<false>(right + d);
        multiply_matrices(total[0], a, b.at[0], b.at[1]);
        multiply_matrices(total[1], a, b.at[2], b.at[3]);
      }
      for_places(s + i * s_stride + j, s_stride, lane, [&](int n, int e, float& to) { to = (add ? to : 0.0F) + factor * total[n][e]; });
    }
  }

  /// Each warp takes 16 rows of the sum with 16 of its columns at a time.
  template <class Lanes>
  static __device__ __forceinline__ void combine(const Lanes& lanes, const __nv_bfloat16* s, int /*s_stride*/, bool transposed, int count, int width,
                                                 const __nv_bfloat16* y, int stride, float* sum, int sum_stride) {
    if (transposed) add_product<true>(lanes, s, count, width, y, stride, sum, sum_stride);
    else add_product<false>(lanes, s, count, width, y, stride, sum, sum_stride);
  }

 private:
  template <bool Transposed, class Lanes>
  static __device__ __forceinline__ void add_product(const Lanes& lanes, const __nv_bfloat16* s, int count, int width, const __nv_bfloat16* y,
                                                     int stride, float* sum, int sum_stride) {
    const int lane = lanes.index() % 32;
    for (int part = lanes.index() / 32; part < rows / 16 * (width / 16); part += lanes.count() / 32) {
      const int i = part % (rows / 16) * 16, d = part / (rows / 16) * 16;
      const __nv_bfloat16* const left = Transposed ? s + (lane % 8 + lane / 16 * 8) * rounded_stride + i + lane / 8 % 2 * 8
                                                   : s + (i + lane % 16) * rounded_stride + lane / 16 * 8;
      const __nv_bfloat16* const right = y + (lane % 16) * stride + d + lane / 16 * 8;
      float total[2][4] = {};
      for (int j = 0; j < count; j += 16) {
        const matrix_registers a = load_matrices<Transposed>(left + (Transposed ? j * rounded_stride : j)), b = load_matrices<true>(right + j * stride);
        multiply_matrices(total[0], a, b.at[0], b.at[1]);
        multiply_matrices(total[1], a, b.at[2], b.at[3]);
      }
      for_places(sum + i * sum_stride + d, sum_stride, lane, [&](int n, int e, float& to) { to += total[n][e]; });
    }
  }

  /// Calls f(n, e, place) for what `lane` holds of two sums of 16 x 8 beside each other.
  template <class F>
  static __device__ __forceinline__ void for_places(float* sum, int stride, int lane, const F& f) {
    for (int n = 0; n < 2; ++n)
      for (int e = 0; e < 4; ++e) f(n, e, sum[(lane / 4 + e / 2 * 8) * stride + n * 8 + lane % 4 * 2 + e % 2]);
  }
};

}  // namespace expunge::cuda
