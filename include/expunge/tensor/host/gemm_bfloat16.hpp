// Matrix products whose operands are rounded to bf16 when they are packed; sums, C and the operands in memory are float.
//
//   operand         as pairs along k               then
//   A               [m][k / 2], rows as they are   -
//   A transposed    [k / 2][m]                     transposed
//   B               [k / 2][n], 16 columns each    -
//   B transposed    [n][k / 2]                     transposed, 16 rows each
//
// Products run on AMX or AVX-512's bf16 where there is it. Elsewhere the rounded operands go to host::gemm: the same rounding, but
// sums in another order (and both of these take subnormal numbers for zero), so that bits differ between the three.
#pragma once

#include <algorithm>
#include <cstdint>

#include "expunge/core/bfloat16.hpp"
#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/host/bfloat16_pairs.hpp"
#include "expunge/tensor/host/bfloat16_tile.hpp"
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

#ifdef __AVX512BF16__
/// One depth of a product: 32 x 32 blocks of C from zero-padded pairs.
struct pair_product {
  bool transpose_a, transpose_b;
  index_t m, n, k, from, length;
  float alpha;
  const float *a, *b;
  float beta;
  float* c;
  index_t pairs = (length + 1) / 2, padded = (length + 31) / 32 * 16;

  void pack_rows(index_t i, std::uint32_t* out) const {  // 16 rows of A
    const index_t count = std::min<index_t>(16, m - i);
    if (!transpose_a) return along(a + i * k + from, count, out);
    std::uint32_t* const paired = scratch<bfloat16_pairs, std::uint32_t>(16 * padded);
    across(a + from * m + i, m, count, paired);
    transpose_pairs(paired, padded, 16, out);
  }

  void pack_columns(index_t j, std::uint32_t* out) const {  // 16 columns of B
    const index_t count = std::clamp<index_t>(n - j, 0, 16);
    if (!transpose_b) return across(b + from * n + j, n, count, out);
    std::uint32_t* const paired = scratch<bfloat16_pairs, std::uint32_t>(16 * padded);
    along(b + j * k + from, count, paired);
    transpose_pairs(paired, 16, padded, out);
  }

  /// [16][padded] from rows of numbers that follow each other along k
  void along(const float* numbers, index_t rows, std::uint32_t* out) const {
    for (index_t i = 0; i < rows; ++i) pairs_along(numbers + i * k, length, padded, out + i * padded);
    std::fill(out + rows * padded, out + 16 * padded, 0U);
  }
  /// [padded][16] from numbers `stride` apart along k
  void across(const float* numbers, index_t stride, index_t columns, std::uint32_t* out) const {
    for (index_t q = 0; q < pairs; ++q, numbers += 2 * stride) {
      __builtin_prefetch(numbers + 16 * stride);  // no hardware prefetcher follows rows that lie a stride apart
      __builtin_prefetch(numbers + 17 * stride);
      pairs_across(numbers, 2 * q + 1 < length ? numbers + stride : nullptr, columns, out + q * 16);
    }
    std::fill(out + pairs * 16, out + padded * 16, 0U);
  }

  template <class Tile>
  void run() const {
    const index_t row_tiles = (m + 31) / 32 * 2;
    std::uint32_t* const rows = scratch<bfloat16_rows, std::uint32_t>(row_tiles * 16 * padded);
    parallel_blocks(row_tiles, std::max<index_t>(1, 4096 / padded), [&](index_t begin, index_t end) {
      for (index_t t = begin; t < end; ++t) {
        if (t * 16 < m) pack_rows(t * 16, rows + t * 16 * padded);
        else std::fill_n(rows + t * 16 * padded, 16 * padded, 0U);
      }
    });
    parallel_blocks((n + 31) / 32, std::max<index_t>(1, (index_t{1} << 14) / (m * length)), [&](index_t begin, index_t end) {
      std::uint32_t* const columns = scratch<bfloat16_columns, std::uint32_t>(32 * padded);
      const Tile tile{};
      for (index_t j = begin * 32; j < end * 32; j += 32) {
        pack_columns(j, columns);
        pack_columns(j + 16, columns + 16 * padded);
        for (index_t i = 0; i < m; i += 32)
          tile.add({pairs, padded, rows + i * padded, columns, std::min<index_t>(32, m - i), std::min<index_t>(32, n - j), alpha, beta,
                    c + i * n + j, n});
      }
    });
  }
};

/// For sizes that are not 0.
inline void paired_gemm(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, float alpha, const float* a, const float* b, float beta,
                        float* c) {
  const even_split depths(k, 1984);  // a panel of B stays in the second-level cache, rows do not begin whole pages apart
  for (index_t d = 0; d < depths.parts; ++d) {
    const index_t from = depths.begin(d);
    const pair_product product{transpose_a, transpose_b, m, n, k, from, depths.begin(d + 1) - from, alpha, a, b, d == 0 ? beta : 1.0F, c};
#ifdef EXPUNGE_HAS_AMX
    if (amx_tile::granted()) product.run<amx_tile>();
    else
#endif
      product.run<avx512_tile>();
  }
}
#endif

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
#ifdef __AVX512BF16__
  if (m > 0 && n > 0 && k > 0) return detail::paired_gemm(transpose_a, transpose_b, m, n, k, alpha, a, b, beta, c);
#endif
  gemm(transpose_a, transpose_b, m, n, k, alpha, detail::rounded<detail::rounded_a>(a, m * k), detail::rounded<detail::rounded_b>(b, k * n), beta, c);
}

}  // namespace expunge::host
