// Operands of bf16 products: neighbours along k in one word, the first in the lower half, as AMX and AVX-512 take them.
#pragma once

#ifdef __AVX512BF16__

#include <algorithm>
#include <bit>
#include <cstdint>

#include "expunge/tensor/host/gemm_pack.hpp"

namespace expunge::host::detail {

/// The first `count` of 16 lanes: none below 0, all beyond 16.
inline __mmask16 first_lanes(index_t count) { return static_cast<__mmask16>((1U << static_cast<unsigned>(std::clamp<index_t>(count, 0, 16))) - 1U); }
/// The first `count` of 16 numbers, and zeros.
inline __m512 first_of_16(const float* from, index_t count) { return _mm512_maskz_loadu_ps(first_lanes(count), from); }
/// Rounded: `low` in the lower half. Subnormal numbers become zero.
inline __m512i bf16_rounded(__m512 low, __m512 high) { return std::bit_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)); }

/// out[q] = the pair from[2 q], from[2 q + 1] of `size` numbers; q to `padded`, a multiple of 16, beyond the numbers zeros.
inline void pairs_along(const float* from, index_t size, index_t padded, std::uint32_t* out) {
  for (index_t q = 0; q < padded; q += 16) {
    const index_t i = 2 * q;
    _mm512_storeu_si512(out + q, bf16_rounded(first_of_16(from + i, size - i), first_of_16(from + i + 16, size - i - 16)));
  }
}

/// out[j] = the pair low[j], high[j] of `size` <= 16 numbers; j to 16, beyond the numbers zeros. A null `high` is zeros.
inline void pairs_across(const float* low, const float* high, index_t size, std::uint32_t* out) {
  const __m512i order = _mm512_setr_epi32(0x100000, 0x110001, 0x120002, 0x130003, 0x140004, 0x150005, 0x160006, 0x170007, 0x180008, 0x190009,
                                          0x1A000A, 0x1B000B, 0x1C000C, 0x1D000D, 0x1E000E, 0x1F000F);  // a half of one, a half of the other
  const __m512i rounded = bf16_rounded(first_of_16(low, size), high == nullptr ? _mm512_setzero_ps() : first_of_16(high, size));
  _mm512_storeu_si512(out, _mm512_permutexvar_epi16(order, rounded));
}

/// Transposes [rows][columns] pairs, both multiples of 16. Pairs travel as floats: they are only moved.
inline void transpose_pairs(const std::uint32_t* from, index_t rows, index_t columns, std::uint32_t* out) {
  pack_transposed(reinterpret_cast<const float*>(from), columns, rows, columns, reinterpret_cast<float*>(out), rows);
}

}  // namespace expunge::host::detail

#endif
