// What multiplies bf16 pairs into float sums: tiles of AMX, where the system grants them, or instructions of AVX-512.
#pragma once

#ifdef __AVX512BF16__

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#if defined(__AMX_BF16__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#define EXPUNGE_HAS_AMX 1
#endif

#include <xsimd/xsimd.hpp>  // and the processor's intrinsics

#include "expunge/core/shape.hpp"
#include "expunge/tensor/host/bfloat16_pairs.hpp"

namespace expunge::host::detail {

/// C = alpha A B + beta C for up to 32 rows and 32 columns. beta = 0 never reads C.
struct pair_block {
  index_t pairs, padded;   // along k, and with the zeros behind them a multiple of 16
  const std::uint32_t *a;  // [32][padded], beyond `rows` zeros
  const std::uint32_t *b;  // two panels [padded][16], beyond `columns` zeros
  index_t rows, columns;
  float alpha, beta;
  float* c;
  index_t c_stride;
};

#ifdef EXPUNGE_HAS_AMX
/// The tile registers of the calling thread, set up for as long as this lives.
class amx_tile {
 public:
  /// Asks the system once for the tile registers; false where it refuses.
  static bool granted() {
    constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    static const bool given = syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
    return given;
  }

  amx_tile() {
    struct alignas(64) {
      std::uint8_t palette = 1, start_row = 0, reserved[14]{};
      std::uint16_t row_bytes[16]{64, 64, 64, 64, 64, 64, 64, 64};
      std::uint8_t rows[16]{16, 16, 16, 16, 16, 16, 16, 16};
    } const configuration;
    _tile_loadconfig(&configuration);
  }
  amx_tile(const amx_tile&) = delete;
  amx_tile& operator=(const amx_tile&) = delete;
  ~amx_tile() { _tile_release(); }

  void add(const pair_block& of) const {
    const index_t stride = of.padded * 4;
    const std::uint32_t *lower = of.a + 16 * of.padded, *right = of.b + 16 * of.padded;
    alignas(64) std::array<float, 1024> sums;
    asm volatile("" ::: "memory");  // the tile loads of some compilers do not say that they read memory
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (index_t p = 0; p < of.padded; p += 16) {
      _tile_loadd(4, of.a + p, stride);
      _tile_loadd(6, of.b + p * 16, 64);
      _tile_loadd(5, lower + p, stride);
      _tile_loadd(7, right + p * 16, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, sums.data(), 128);
    _tile_stored(1, sums.data() + 16, 128);
    _tile_stored(2, sums.data() + 512, 128);
    _tile_stored(3, sums.data() + 528, 128);
    for (index_t r = 0; r < of.rows; ++r) {
      float* const at = of.c + r * of.c_stride;
      const float* const sum = sums.data() + 32 * r;
      if (of.beta == 0) for (index_t q = 0; q < of.columns; ++q) at[q] = of.alpha * sum[q];
      else for (index_t q = 0; q < of.columns; ++q) at[q] = of.alpha * sum[q] + of.beta * at[q];
    }
  }
};
#endif

/// The same in registers of AVX-512.
class avx512_tile {
 public:
  void add(const pair_block& of) const {
    for (index_t i = 0; i < of.rows; i += 8) add_rows(of, i, std::make_index_sequence<8>{});
  }

 private:
  /// The rows `first`, ... of a block, as far as it has them.
  template <std::size_t... R>
  [[gnu::flatten]] static void add_rows(const pair_block& of, index_t first, std::index_sequence<R...>) {
    using batch = xsimd::batch<float>;
    const auto row = [&](std::size_t r) { return of.c + (first + static_cast<index_t>(r)) * of.c_stride; };
    const auto fetch = [](const float* next) { __builtin_prefetch(next, 1), __builtin_prefetch(next + 16, 1); };
    (fetch(row(R + sizeof...(R))), ...);
    const std::uint32_t *const a = of.a + first * of.padded, *const other = of.b + 16 * of.padded;
    std::array<batch, sizeof...(R)> left{((void)R, batch(0.0F))...}, right = left;
    for (index_t p = 0; p < of.pairs; ++p) {
      const auto panel = [&](const std::uint32_t* from) { return std::bit_cast<__m512bh>(_mm512_loadu_si512(from + 16 * p)); };
      const __m512bh y = panel(of.b), z = panel(other);
      const auto add_products = [&](std::size_t r) __attribute__((always_inline)) {
        const auto x = std::bit_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(a[static_cast<index_t>(r) * of.padded + p])));
        left[r] = _mm512_dpbf16_ps(left[r].data, x, y);
        right[r] = _mm512_dpbf16_ps(right[r].data, x, z);
      };
      (add_products(R), ...);
    }
    const __mmask16 in_left = first_lanes(of.columns), in_right = first_lanes(of.columns - 16);
    const batch factor(of.alpha), kept(of.beta);
    const auto put = [&](const batch& sum, __mmask16 columns, float* to) {
      const batch product = factor * sum;
      _mm512_mask_storeu_ps(to, columns, of.beta == 0 ? product.data : _mm512_fmadd_ps(kept.data, _mm512_maskz_loadu_ps(columns, to), product.data));
    };
    const auto put_row = [&](std::size_t r) {
      if (first + static_cast<index_t>(r) < of.rows) put(left[r], in_left, row(r)), put(right[r], in_right, row(r) + 16);
    };
    (put_row(R), ...);
  }
};

}  // namespace expunge::host::detail

#endif
