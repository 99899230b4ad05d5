// AMX: 16 x 16 tiles of float sums of products of bf16 pairs, where compiler, processor and system have it.
#pragma once

#include <cstdint>

#if defined(__AMX_BF16__) && defined(__linux__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#define EXPUNGE_HAS_AMX 1
#endif

#include "expunge/core/shape.hpp"

namespace expunge::host::detail {

#ifdef EXPUNGE_HAS_AMX
/// Asks the system once for the tile registers; false where it refuses.
inline bool amx_granted() {
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  static const bool granted = syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
  return granted;
}

/// The tile registers of the calling thread, set up for as long as this lives.
struct amx_scope {
  amx_scope() {
    struct alignas(64) {
      std::uint8_t palette = 1, start_row = 0, reserved[14]{};
      std::uint16_t row_bytes[16]{64, 64, 64, 64, 64, 64, 64, 64};
      std::uint8_t rows[16]{16, 16, 16, 16, 16, 16, 16, 16};
    } const configuration;
    _tile_loadconfig(&configuration);
  }
  amx_scope(const amx_scope&) = delete;
  amx_scope& operator=(const amx_scope&) = delete;
  ~amx_scope() { _tile_release(); }
};

/// sums[32][32] = A B: A 32 rows of `pairs` pairs, B two panels [pairs][16 columns]; `pairs` is a multiple of 16.
inline void amx_multiply(index_t pairs, const std::uint32_t* a, const std::uint32_t* b, float* sums) {
  const index_t stride = pairs * 4;
  const std::uint32_t *lower = a + 16 * pairs, *right = b + 16 * pairs;
  asm volatile("" ::: "memory");  // the tile loads of some compilers do not say that they read memory
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (index_t p = 0; p < pairs; p += 16) {
    _tile_loadd(4, a + p, stride);
    _tile_loadd(6, b + p * 16, 64);
    _tile_loadd(5, lower + p, stride);
    _tile_loadd(7, right + p * 16, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums, 128);
  _tile_stored(1, sums + 16, 128);
  _tile_stored(2, sums + 512, 128);
  _tile_stored(3, sums + 528, 128);
}
#else
inline bool amx_granted() { return false; }
struct amx_scope {};
inline void amx_multiply(index_t, const std::uint32_t*, const std::uint32_t*, float*) {}  // never called: not granted
#endif

}  // namespace expunge::host::detail
