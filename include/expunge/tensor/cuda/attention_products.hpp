// The products of an attention's tiles in the arithmetic of T: four by four results a thread, from operands in working memory.
#pragma once

#include <cstddef>

#include "expunge/tensor/cuda/element_pack.hpp"
#include "expunge/tensor/cuda/lanes.hpp"

namespace expunge::cuda {

/// For tiles of Rows queries by Rows keys. See attention_tile for what its functions are asked.
template <class T, int Rows>
struct plain_products {
  using value_type = T;
  using operand_type = T;
  using pack = element_pack<T>;
  static constexpr int rows = Rows;
  static constexpr int multiple = pack::size;       // of which the width of operands is one
  static constexpr int padding = pack::size;        // of a row of operands: rows begin in different banks of memory
  static constexpr std::size_t rounded_bytes = 0;  // scores are operands as they are
  static constexpr unsigned tangent_threads = 256;  // of a block: there are no more results to share out

  EXPUNGE_DEVICE_INLINE static void hold(const pack& loaded, T* to) { *reinterpret_cast<pack*>(to) = loaded; }

  template <class Lanes>
  EXPUNGE_DEVICE_INLINE static const T* round_scores(const Lanes& /*lanes*/, const T* scores, int /*stride*/, T* /*to*/) {
    return scores;
  }

  /// s = factor x y^T, or added to it, for the first `count` rows.
  template <class Lanes>
  EXPUNGE_DEVICE_INLINE static void multiply(const Lanes& lanes, int count, int width, const T* x, const T* y, int stride, T factor, T* s, int s_stride,
                                      bool add) {
    for (int item = lanes.index(); item < (count + 3) / 4 * quarter; item += lanes.count()) {
      const int i = item / quarter * 4, j = item % quarter;  // rows i + u of x, j + v * quarter of y
      T sum[4][4] = {};
      for (int d = 0; d < width; d += pack::size) {
        pack left[4], right[4];
        for (int u = 0; u < 4; ++u) left[u] = at(x + (i + u) * stride + d), right[u] = at(y + (j + u * quarter) * stride + d);
        for (int e = 0; e < pack::size; ++e)
          for (int u = 0; u < 4; ++u)
            for (int v = 0; v < 4; ++v) sum[u][v] += left[u].at[e] * right[v].at[e];
      }
      for (int u = 0; u < 4; ++u)
        for (int v = 0; v < 4; ++v) {
          T& to = s[(i + u) * s_stride + j + v * quarter];
          to = add ? to + factor * sum[u][v] : factor * sum[u][v];
        }
    }
  }

  /// sum += s y or s^T y; rows of y from `count` on are zeros.
  template <class Lanes>
  EXPUNGE_DEVICE_INLINE static void combine(const Lanes& lanes, const T* s, int s_stride, bool transposed, int count, int width, const T* y, int stride,
                                     T* sum, int sum_stride) {
    const int packs = width / pack::size;
    for (int item = lanes.index(); item < quarter * packs; item += lanes.count()) {
      const int i = item / packs * 4, d = item % packs * pack::size;  // four rows of the sum, one pack of its columns
      pack total[4] = {};
      for (int j = 0; j < count; j += pack::size) {
        T left[4][pack::size];  // of the rows u and the rows j + e of y
        if (transposed)
          for (int e = 0; e < pack::size; ++e)
            for (int u = 0; u < 4; u += pack::size) {
              const pack loaded = at(s + (j + e) * s_stride + i + u);
              for (int v = 0; v < pack::size; ++v) left[u + v][e] = loaded.at[v];
            }
        else
          for (int u = 0; u < 4; ++u) {
            const pack loaded = at(s + (i + u) * s_stride + j);
            for (int e = 0; e < pack::size; ++e) left[u][e] = loaded.at[e];
          }
        for (int e = 0; e < pack::size; ++e) {
          const pack right = at(y + (j + e) * stride + d);
          for (int u = 0; u < 4; ++u)
            for (int v = 0; v < pack::size; ++v) total[u].at[v] += left[u][e] * right.at[v];
        }
      }
      for (int u = 0; u < 4; ++u)
        for (int v = 0; v < pack::size; ++v) sum[(i + u) * sum_stride + d + v] += total[u].at[v];
    }
  }

 private:
  static constexpr int quarter = Rows / 4;

  EXPUNGE_DEVICE_INLINE static const pack& at(const T* place) { return *reinterpret_cast<const pack*>(place); }
};

}  // namespace expunge::cuda
