// The products of an attention's tiles on tensor cores: operands in bfloat16 in shared memory, scores and sums in registers.
#pragma once

#include "expunge/cuda/rounding.cuh"
#include "expunge/cuda/warp_matrix.cuh"

namespace expunge::cuda {

/// For tiles of 64 queries by 64 keys, heads of at most Width numbers, a multiple of 8, and blocks of four warps for each of Parts parts of
/// a matrix's columns. A warp has 16 rows of its part of every matrix, and 16 rows of every sum: of what its columns add to it, until gather()
/// has added the parts. See attention_tile for what its functions are asked.
template <int Width, int Parts = 1>
struct bfloat16_products {
  using value_type = float;
  using operand_type = __nv_bfloat16;
  static constexpr int rows = 64, columns = rows / Parts, padding = 8, matrix_bytes = 0;
  static constexpr unsigned threads = 128 * Parts;
  static constexpr bool whole_packs = true;  // operands begin at multiples of 16 bytes, and so do their rows
  static constexpr bool copies_ahead = true;

  /// Of four numbers that a lane holds of 16 x 8 (multiply_matrices), number `of` of those with number `block` along a row.
  struct cell {
    int block, of;
  };
  template <int Blocks>
  struct registers {
    float at[Blocks][4];
    __device__ __forceinline__ float& operator[](const cell& c) { return at[c.block][c.of]; }
    __device__ __forceinline__ float operator[](const cell& c) const { return at[c.block][c.of]; }
  };
  using matrix = registers<columns / 8>;
  using sum = registers<Width / 8>;
  /// One of the two rows that a lane shares with three others, who all have its numbers.
  struct row {
    int number, half;
    __device__ __forceinline__ operator int() const { return number; }
  };
  struct row_numbers {
    float at[2];
    __device__ __forceinline__ float& operator[](const row& r) { return at[r.half]; }
    __device__ __forceinline__ float operator[](const row& r) const { return at[r.half]; }
  };

  static __host__ __device__ constexpr int width_of(int /*dim*/) { return Width; }
  static __host__ __device__ constexpr int sum_bytes(int /*width*/) { return 0; }
  static __device__ __forceinline__ matrix make_matrix(float* /*at*/) { return {}; }
  static __device__ __forceinline__ sum make_sum(float* /*at*/, int /*width*/) { return {}; }

  template <class Lanes>
  static __device__ __forceinline__ row_numbers make_row_numbers(const Lanes& /*lanes*/, float* /*at*/, float start) {
    return {{start, start}};
  }

  static __device__ __forceinline__ float max(float x, float y) { return fmaxf(x, y); }
  static __device__ __forceinline__ float exp(float x, float scale, float y) {
    constexpr float log2_e = 1.4426950408889634F;
    return approximate_exp2(x * (scale * log2_e) - y * log2_e);  // of which only the first product is of every element
  }

  template <class Lanes>
  static __device__ __forceinline__ void multiply(const Lanes& lanes, int /*count*/, int /*width*/, const __nv_bfloat16* x, const __nv_bfloat16* y,
                                                  int stride, matrix& m, bool add) {
    const int lane = lanes.index() % 32;
    const __nv_bfloat16* const left = x + (first_row(lanes) + lane % 16) * stride + lane / 16 * 8;
    const __nv_bfloat16* const right = y + (first_column(lanes) + lane % 8 + lane / 16 * 8) * stride + lane / 8 % 2 * 8;
    if (!add) m = {};
#pragma unroll
    for (int d = 0; d < Width; d += 16) {
      const matrix_registers a = load_matrices<false>(left + d);
#pragma unroll
      for (int j = 0; j < columns; j += 16) {
        const matrix_registers b = load_matrices<false>(right + j * stride + d);
        multiply_matrices(m.at[j / 8], a, b.at[0], b.at[1]);
        multiply_matrices(m.at[j / 8 + 1], a, b.at[2], b.at[3]);
      }
    }
  }

  template <class Lanes>
  static __device__ __forceinline__ void combine(const Lanes& lanes, const matrix& m, int /*count*/, int /*width*/, const __nv_bfloat16* y, int stride,
                                                 sum& s) {
    const int lane = lanes.index() % 32;
    const __nv_bfloat16* const right = y + (first_column(lanes) + lane % 16) * stride + lane / 16 * 8;
#pragma unroll
    for (int j = 0; j < columns; j += 16) {
      const float(&left)[4] = m.at[j / 8], (&next)[4] = m.at[j / 8 + 1];
      const matrix_registers a{rounded_pair(left[0], left[1]), rounded_pair(left[2], left[3]), rounded_pair(next[0], next[1]),
                               rounded_pair(next[2], next[3])};
#pragma unroll
      for (int d = 0; d < Width; d += 16) {
        const matrix_registers b = load_matrices<true>(right + j * stride + d);
        multiply_matrices(s.at[d / 8], a, b.at[0], b.at[1]);
        multiply_matrices(s.at[d / 8 + 1], a, b.at[2], b.at[3]);
      }
    }
  }

  template <class Lanes, class F>
  static __device__ __forceinline__ void for_scores(const Lanes& lanes, const F& row_of) {
    for_cells<columns>(lanes, rows, first_column(lanes), row_of);
  }
  template <class Lanes, class F, class Op, class G>
  static __device__ __forceinline__ void reduce_rows(const Lanes& lanes, float start, const F& row_of, const Op& op, const G& take) {
    static_assert(Parts == 1, "a row's numbers are with four threads of one warp");
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const row i = row_of_lane(lanes, half);
      const auto f = row_of(i);
      float total = start;
#pragma unroll
      for (int e = 0; e < rows / 4; ++e) total = op(total, f(e / 2 * 8 + lanes.index() % 4 * 2 + e % 2, cell{e / 2, 2 * half + e % 2}));
      for (int step = 1; step <= 2; step *= 2) total = op(total, __shfl_xor_sync(0xffffffffU, total, step));
      take(i, total);
    }
  }
  template <class Lanes, class F>
  static __device__ __forceinline__ void for_rows(const Lanes& lanes, const F& f) {
#pragma unroll
    for (int half = 0; half < 2; ++half)
      if (lanes.index() % 4 == 0) f(row_of_lane(lanes, half));
  }
  template <class Lanes, class F>
  static __device__ __forceinline__ void for_sums(const Lanes& lanes, int count, int dim, int /*width*/, const F& row_of) {
    if (part(lanes) != 0) return;
    for_cells<Width>(lanes, count, 0, [&](const row& i) {
      return [f = row_of(i), dim](int d, const cell& c) {
        if (d < dim) f(d, c);
      };
    });
  }
  template <class Lanes>
  static __device__ __forceinline__ void gather(const Lanes& lanes, float* memory, sum& s) {
    const auto for_sum = [&](const auto& f) {
      for_cells<Width>(lanes, rows, 0, [&](const row& i) { return [&, to = memory + i * (Width + 4)](int d, const cell& c) { f(to[d], s[c]); }; });
    };
    for (int other = 1; other < Parts; ++other) {
      lanes.sync();
      if (part(lanes) == other) for_sum([](float& place, float mine) { place = mine; });
      lanes.sync();
      if (part(lanes) == 0) for_sum([](const float& place, float& mine) { mine += place; });
    }
  }

 private:
  /// Of the warp that this thread is of.
  template <class Lanes>
  static __device__ __forceinline__ int first_row(const Lanes& lanes) {
    return lanes.index() / 32 % 4 * 16;
  }
  template <class Lanes>
  static __device__ __forceinline__ int part(const Lanes& lanes) {
    return Parts == 1 ? 0 : lanes.index() / 128;
  }
  template <class Lanes>
  static __device__ __forceinline__ int first_column(const Lanes& lanes) {
    return part(lanes) * columns;
  }
  template <class Lanes>
  static __device__ __forceinline__ row row_of_lane(const Lanes& lanes, int half) {
    return {first_row(lanes) + lanes.index() % 32 / 4 + 8 * half, half};
  }
  template <int Columns, class Lanes, class F>
  static __device__ __forceinline__ void for_cells(const Lanes& lanes, int count, int first, const F& row_of) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const row i = row_of_lane(lanes, half);
      if (i >= count) continue;
      const auto f = row_of(i);
#pragma unroll
      for (int e = 0; e < Columns / 4; ++e) f(first + e / 2 * 8 + lanes.index() % 4 * 2 + e % 2, cell{e / 2, 2 * half + e % 2});
    }
  }
};

}  // namespace expunge::cuda
