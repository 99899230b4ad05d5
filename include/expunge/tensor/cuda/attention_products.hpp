// The products of an attention's tiles in the arithmetic of T: four by four results a thread, all of it in working memory.
#pragma once

#include "expunge/tensor/cuda/element_pack.hpp"
#include "expunge/tensor/cuda/lanes.hpp"
#include "expunge/tensor/fn.hpp"

namespace expunge::cuda {

/// For tiles of Rows queries by Rows keys. See attention_tile for what its functions are asked; each ends at a barrier.
template <class T, int Rows>
struct plain_products {
  using value_type = T;
  using operand_type = T;
  using pack = element_pack<T>;
  static constexpr int rows = Rows;
  static constexpr int padding = pack::size;                   // of a row of operands: rows begin in different banks of memory
  static constexpr unsigned threads = Rows == 64 ? 256 : 128;  // of a block on a device
  static constexpr bool whole_packs = false;                   // operands may begin anywhere
  static constexpr bool copies_ahead = false;                  // two blocks with one step's operands each rather than one with two
  static constexpr int matrix_stride = Rows + 4;
  static constexpr int matrix_bytes = Rows * matrix_stride * static_cast<int>(sizeof(T));

  struct matrix {
    T* at;
    EXPUNGE_DEVICE_INLINE T& operator[](int cell) const { return at[cell]; }
  };
  struct sum {
    T* at;
    int stride;
    EXPUNGE_DEVICE_INLINE T& operator[](int cell) const { return at[cell]; }
  };

  struct row_numbers {
    T* at;
    EXPUNGE_DEVICE_INLINE T& operator[](int row) const { return at[row]; }
  };

  EXPUNGE_DEVICE static constexpr int width_of(int dim) { return (dim + pack::size - 1) / pack::size * pack::size; }
  EXPUNGE_DEVICE static constexpr int sum_stride(int width) { return width + 4; }
  EXPUNGE_DEVICE static constexpr int sum_bytes(int width) { return Rows * sum_stride(width) * static_cast<int>(sizeof(T)); }
  EXPUNGE_DEVICE_INLINE static matrix make_matrix(T* at) { return {at}; }
  EXPUNGE_DEVICE_INLINE static sum make_sum(T* at, int width) { return {at, sum_stride(width)}; }

  template <class Lanes>
  EXPUNGE_DEVICE_INLINE static row_numbers make_row_numbers(const Lanes& lanes, T* at, T start) {
    for (int i = lanes.index(); i < Rows; i += lanes.count()) at[i] = start;
    return {at};
  }

  EXPUNGE_DEVICE_INLINE static T max(T x, T y) { return fn::max(x, y); }
  EXPUNGE_DEVICE_INLINE static T exp(T x, T scale, T y) { return fn::exp(scale * x - y); }

  template <class Lanes>
  EXPUNGE_DEVICE_INLINE static void multiply(const Lanes& lanes, int count, int width, const T* x, const T* y, int stride, const matrix& m, bool add) {
    for (int item = lanes.index(); item < (count + 3) / 4 * quarter; item += lanes.count()) {
      const int i = item / quarter * 4, j = item % quarter;  // rows i + u of x, j + v * quarter of y
      T total[4][4] = {};
      for (int d = 0; d < width; d += pack::size) {
        pack left[4], right[4];
        for (int u = 0; u < 4; ++u) left[u] = at(x + (i + u) * stride + d), right[u] = at(y + (j + u * quarter) * stride + d);
        for (int e = 0; e < pack::size; ++e)
          for (int u = 0; u < 4; ++u)
            for (int v = 0; v < 4; ++v) total[u][v] += left[u].at[e] * right[v].at[e];
      }
      for (int u = 0; u < 4; ++u)
        for (int v = 0; v < 4; ++v) {
          T& to = m[(i + u) * matrix_stride + j + v * quarter];
          to = add ? to + total[u][v] : total[u][v];
        }
    }
    lanes.sync();
  }

  /// Rows of y from `count` on are zeros.
  template <class Lanes>
  EXPUNGE_DEVICE_INLINE static void combine(const Lanes& lanes, const matrix& m, int count, int width, const T* y, int stride, const sum& s) {
    const int packs = width / pack::size;
    for (int item = lanes.index(); item < quarter * packs; item += lanes.count()) {
      const int i = item / packs * 4, d = item % packs * pack::size;  // four rows of the sum, one pack of its columns
      pack total[4] = {};
      for (int j = 0; j < count; j += pack::size) {
        pack left[4];
        for (int u = 0; u < 4; ++u) left[u] = at(m.at + (i + u) * matrix_stride + j);
        for (int e = 0; e < pack::size; ++e) {
          const pack right = at(y + (j + e) * stride + d);
          for (int u = 0; u < 4; ++u)
            for (int v = 0; v < pack::size; ++v) total[u].at[v] += left[u].at[e] * right.at[v];
        }
      }
      for (int u = 0; u < 4; ++u)
        for (int v = 0; v < pack::size; ++v) s[(i + u) * s.stride + d + v] += total[u].at[v];
    }
    lanes.sync();
  }

  template <class Lanes, class F>
  EXPUNGE_DEVICE_INLINE static void for_scores(const Lanes& lanes, const F& row_of) {
    for (int item = lanes.index(); item < Rows * Lanes::team; item += lanes.count()) {
      const int i = item / Lanes::team;
      const auto f = row_of(i);
      for (int j = item % Lanes::team; j < Rows; j += Lanes::team) f(j, i * matrix_stride + j);
    }
    lanes.sync();
  }
  template <class Lanes, class F, class Op, class G>
  EXPUNGE_DEVICE_INLINE static void reduce_rows(const Lanes& lanes, T start, const F& row_of, const Op& op, const G& take) {
    static_assert(Rows % 4 == 0 && 32 % Lanes::team == 0);  // whole warps: all of their threads are at work, or none
    for (int item = lanes.index(); item < Rows * Lanes::team; item += lanes.count()) {
      const int i = item / Lanes::team;
      const auto f = row_of(i);
      T total = start;
      for (int j = item % Lanes::team; j < Rows; j += Lanes::team) total = op(total, f(j, i * matrix_stride + j));
      total = lanes.team_reduce(total, op);
      if (item % Lanes::team == 0) take(i, total);
    }
    lanes.sync();
  }
  template <class Lanes, class F>
  EXPUNGE_DEVICE_INLINE static void for_rows(const Lanes& lanes, const F& f) {
    for (int i = lanes.index(); i < Rows; i += lanes.count()) f(i);
  }
  template <class Lanes, class F>
  EXPUNGE_DEVICE_INLINE static void for_sums(const Lanes& lanes, int count, int dim, int width, const F& row_of) {
    for (int item = lanes.index(); item < count * Lanes::team; item += lanes.count()) {
      const int i = item / Lanes::team;
      const auto f = row_of(i);
      for (int d = item % Lanes::team; d < dim; d += Lanes::team) f(d, i * sum_stride(width) + d);
    }
    lanes.sync();
  }
  template <class Lanes>
  EXPUNGE_DEVICE_INLINE static void gather(const Lanes& /*lanes*/, T* /*memory*/, const sum& /*s*/) {}

 private:
  static constexpr int quarter = Rows / 4;

  EXPUNGE_DEVICE_INLINE static const pack& at(const T* place) { return *reinterpret_cast<const pack*>(place); }
};

}  // namespace expunge::cuda
