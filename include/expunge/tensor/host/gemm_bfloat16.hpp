// Matrix products whose operands are rounded to bf16 when they are packed; sums, C and the operands in memory are float.
//
//   operand         as pairs along k               then
//   A               [m][k / 2], rows as they are   -
//   A transposed    [k / 2][m]                     transposed
//   B               [k / 2][n], 16 columns each    -
//   B transposed    [n][k / 2]                     transposed, 16 rows each
//
// Products run on AMX where there is it. Elsewhere the rounded operands go to host::gemm: the same rounding, but sums in
// another order (and AMX takes subnormal numbers for zero), so that bits differ between the two.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "expunge/core/bfloat16.hpp"
#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/host/amx_tile.hpp"
#include "expunge/tensor/host/gemm.hpp"
#include "expunge/tensor/host/scratch.hpp"

namespace expunge::host {

namespace detail {
// Purposes of scratch memory.
struct rounded_a;
struct rounded_b;
struct bfloat16_rows;
struct bfloat16_columns;
struct bfloat16_pairs;

inline std::uint32_t bf16_pair(float low, float high) { return bf16_from_float(low) | std::uint32_t{bf16_from_float(high)} << 16U; }

/// out[i * out_stride + q] = the pair from[i][2 q], from[i][2 q + 1]; q to `pairs`, beyond `columns` zeros.
inline void pairs_along_rows(const float* from, index_t stride, index_t rows, index_t columns, index_t pairs, std::uint32_t* out) {
  for (index_t i = 0; i < rows; ++i, from += stride, out += pairs) {
    for (index_t q = 0; q < columns / 2; ++q) out[q] = bf16_pair(from[2 * q], from[2 * q + 1]);
    if (columns % 2 != 0) out[columns / 2] = bf16_pair(from[columns - 1], 0);
    std::fill(out + (columns + 1) / 2, out + pairs, 0U);
  }
}

/// out[q * step + j] = the pair from[2 q][j], from[2 q + 1][j]; q to `pairs`, j to `step`, beyond the operand zeros.
inline void pairs_across_rows(const float* from, index_t stride, index_t rows, index_t columns, index_t pairs, std::uint32_t* out, index_t step) {
  for (index_t q = 0; q < pairs; ++q, from += 2 * stride, out += step) {
    index_t j = 0;
    if (2 * q + 1 < rows) for (; j < columns; ++j) out[j] = bf16_pair(from[j], from[stride + j]);
    else if (2 * q < rows) for (; j < columns; ++j) out[j] = bf16_pair(from[j], 0);
    std::fill(out + j, out + step, 0U);
  }
}

/// Transposes [rows][columns] pairs, both multiples of 16. Pairs travel as floats: they are only moved.
inline void transpose_pairs(const std::uint32_t* from, index_t rows, index_t columns, std::uint32_t* out) {
  pack_transposed(reinterpret_cast<const float*>(from), columns, rows, columns, reinterpret_cast<float*>(out), rows);
}

/// One depth of a product on AMX: 32 x 32 blocks of C from zero-padded pairs.
struct amx_product {
  bool transpose_a, transpose_b;
  index_t m, n, k, from, length;
  float alpha;
  const float *a, *b;
  float beta;
  float* c;
  index_t pairs = (length + 31) / 32 * 16;

  void pack_rows(index_t i, std::uint32_t* out) const {  // 16 rows of A
    const index_t count = std::min<index_t>(16, m - i);
    if (!transpose_a) {
      pairs_along_rows(a + i * k + from, k, count, length, pairs, out);
      std::fill(out + count * pairs, out + 16 * pairs, 0U);
      return;
    }
    std::uint32_t* const across = scratch<bfloat16_pairs, std::uint32_t>(16 * pairs);
    pairs_across_rows(a + from * m + i, m, length, count, pairs, across, 16);
    transpose_pairs(across, pairs, 16, out);
  }

  void pack_columns(index_t j, std::uint32_t* out) const {  // 16 columns of B
    const index_t count = std::clamp<index_t>(n - j, 0, 16);
    if (!transpose_b) return pairs_across_rows(b + from * n + j, n, length, count, pairs, out, 16);
    std::uint32_t* const along = scratch<bfloat16_pairs, std::uint32_t>(16 * pairs);
    pairs_along_rows(b + j * k + from, k, count, length, pairs, along);
    std::fill(along + count * pairs, along + 16 * pairs, 0U);
    transpose_pairs(along, 16, pairs, out);
  }

  void run() const {
    const index_t row_tiles = (m + 31) / 32 * 2;
    std::uint32_t* const rows = scratch<bfloat16_rows, std::uint32_t>(row_tiles * 16 * pairs);
    parallel_blocks(row_tiles, std::max<index_t>(1, 4096 / pairs), [&](index_t begin, index_t end) {
      for (index_t t = begin; t < end; ++t) {
        if (t * 16 < m) pack_rows(t * 16, rows + t * 16 * pairs);
        else std::fill_n(rows + t * 16 * pairs, 16 * pairs, 0U);
      }
    });
    parallel_blocks((n + 31) / 32, std::max<index_t>(1, (index_t{1} << 14) / (m * length)), [&](index_t begin, index_t end) {
      std::uint32_t* const columns = scratch<bfloat16_columns, std::uint32_t>(32 * pairs);
      [[maybe_unused]] const amx_scope tiles;
      alignas(64) std::array<float, 1024> sums;
      for (index_t j = begin * 32; j < end * 32; j += 32) {
        pack_columns(j, columns);
        pack_columns(j + 16, columns + 16 * pairs);
        for (index_t i = 0; i < m; i += 32) {
          amx_multiply(pairs, rows + i * pairs, columns, sums.data());
          const index_t width = std::min<index_t>(32, n - j);
          for (index_t r = 0; r < std::min<index_t>(32, m - i); ++r) {
            float* const at = c + (i + r) * n + j;
            const float* const sum = sums.data() + 32 * r;
            if (beta == 0) for (index_t q = 0; q < width; ++q) at[q] = alpha * sum[q];
            else for (index_t q = 0; q < width; ++q) at[q] = alpha * sum[q] + beta * at[q];
          }
        }
      }
    });
  }
};

template <class Purpose>
const float* rounded(const float* from, index_t size) {
  float* const out = scratch<Purpose, float>(size);
  parallel_blocks(size, 16384, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) out[i] = float_from_bf16(bf16_from_float(from[i]));
  });
  return out;
}
}  // namespace detail

/// As host::gemm, of operands rounded to bf16 (8 bits of precision, the range of float). Products with a vector stay in float: they
/// wait for memory, and sums over examples, whose digits count, are such products.
inline void gemm_bfloat16(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, float alpha, const float* a, const float* b,
                          float beta, float* c) {
  if (m == 1 || n == 1) return gemm(transpose_a, transpose_b, m, n, k, alpha, a, b, beta, c);
  if (m == 0 || n == 0 || k == 0 || !detail::amx_granted())
    return gemm(transpose_a, transpose_b, m, n, k, alpha, detail::rounded<detail::rounded_a>(a, m * k), detail::rounded<detail::rounded_b>(b, k * n),
                beta, c);
  const detail::even_split depths(k, 2048);  // a panel of B stays in the second-level cache
  for (index_t d = 0; d < depths.parts; ++d)
    detail::amx_product{transpose_a, transpose_b, m, n, k, depths.begin(d), depths.begin(d + 1) - depths.begin(d), alpha, a, b,
                        d == 0 ? beta : 1.0F, c}.run();
}

}  // namespace expunge::host
