// Operands of a matrix product copied into the order in which the kernel reads them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <type_traits>

#include <xsimd/xsimd.hpp>

#include "expunge/core/shape.hpp"
#include "expunge/tensor/host/simd_register.hpp"

namespace expunge::host::detail {

/// Transposes a square of a batch's size: out[p * step + i] = from[i * stride + p].
template <class T>
void transpose_square(const T* from, index_t stride, T* out, index_t step) {
#ifdef __AVX512F__
  if constexpr (std::is_same_v<T, float>) {
    // Quarters of four rows are loaded into one register, so that half of the exchange is the load ports' work.
    const auto rows = [&](index_t row, index_t column) {  // row, row + 4, row + 8, row + 12
      const auto quarter = [&](index_t i) { return _mm_loadu_ps(from + (row + i) * stride + column); };
      const __m512 half = _mm512_insertf32x4(_mm512_castps128_ps512(quarter(0)), quarter(4), 1);
      return _mm512_insertf32x4(_mm512_insertf32x4(half, quarter(8), 2), quarter(12), 3);
    };
    for (index_t column = 0; column < 16; column += 4) {
      const __m512 r0 = rows(0, column), r1 = rows(1, column), r2 = rows(2, column), r3 = rows(3, column);
      const __m512d low01 = _mm512_castps_pd(_mm512_unpacklo_ps(r0, r1)), low23 = _mm512_castps_pd(_mm512_unpacklo_ps(r2, r3));
      const __m512d high01 = _mm512_castps_pd(_mm512_unpackhi_ps(r0, r1)), high23 = _mm512_castps_pd(_mm512_unpackhi_ps(r2, r3));
      _mm512_storeu_ps(out + column * step, _mm512_castpd_ps(_mm512_unpacklo_pd(low01, low23)));
      _mm512_storeu_ps(out + (column + 1) * step, _mm512_castpd_ps(_mm512_unpackhi_pd(low01, low23)));
      _mm512_storeu_ps(out + (column + 2) * step, _mm512_castpd_ps(_mm512_unpacklo_pd(high01, high23)));
      _mm512_storeu_ps(out + (column + 3) * step, _mm512_castpd_ps(_mm512_unpackhi_pd(high01, high23)));
    }
    return;
  }
#endif
  using simd = simd_register<T, xsimd::batch<T>::size>;
  using row = typename simd::type;
  constexpr std::size_t quarter = simd::quarter;
  for (std::size_t column = 0; column < xsimd::batch<T>::size; column += quarter) {
    std::array<row, quarter> rows;  // r, r + quarter, ...: the loads do half of the exchange
    for (std::size_t r = 0; r < quarter; ++r) rows[r] = simd::load(from + static_cast<index_t>(r) * stride + column, stride);
    for (std::size_t round = 1; round < quarter; round *= 2) {
      std::array<row, quarter> next;
      for (std::size_t r = 0; r < quarter / 2; ++r) {
        next[2 * r] = simd::template interleave<false>(rows[r], rows[r + quarter / 2]);
        next[2 * r + 1] = simd::template interleave<true>(rows[r], rows[r + quarter / 2]);
      }
      rows = next;
    }
    for (std::size_t r = 0; r < quarter; ++r) *reinterpret_cast<typename simd::in_memory*>(out + static_cast<index_t>(column + r) * step) = rows[r];
  }
}

/// out[p * step + i] = from[i * stride + p] for i in [0, rows), p in [0, columns).
template <class T>
void pack_transposed(const T* from, index_t stride, index_t rows, index_t columns, T* out, index_t step) {
  constexpr auto size = static_cast<index_t>(xsimd::batch<T>::size);
  if (rows < size || columns < size) {
    for (index_t i = 0; i < rows; ++i)
      for (index_t p = 0; p < columns; ++p) out[p * step + i] = from[i * stride + p];
    return;
  }
  for (index_t p = 0; p < columns; p += size)  // the last squares overlap their neighbours
    for (index_t i = 0; i < rows; i += size) {
      const index_t row = std::min(i, rows - size), column = std::min(p, columns - size);
      transpose_square(from + row * stride + column, stride, out + column * step + row, step);
    }
}

/// out[p * step + j] = from[p * stride + j] for p in [0, rows), j in [0, columns).
template <class T>
void pack_straight(const T* from, index_t stride, index_t rows, index_t columns, T* out, index_t step) {
  using batch = xsimd::batch<T>;
  constexpr auto size = static_cast<index_t>(batch::size);
  constexpr index_t ahead = 16;  // rows to prefetch: they lie a stride apart, which no hardware prefetcher follows
  for (index_t p = 0; p < rows; ++p, from += stride, out += step)
    for (index_t j = 0; j < columns; j += size) {
      __builtin_prefetch(from + ahead * stride + j);
      if (j + size <= columns) batch::load_unaligned(from + j).store_unaligned(out + j);
      else std::copy(from + j, from + columns, out + j);
    }
}

}  // namespace expunge::host::detail
