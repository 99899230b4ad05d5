// x y + z of SIMD batches, rounded once.
#pragma once

#include <type_traits>

#include <xsimd/xsimd.hpp>

namespace expunge::host::detail {

/// xsimd::fma, which in xsimd 8.1 is a product and a sum on AVX-512: g++ makes one instruction of them, clang does not.
template <class T>
[[gnu::always_inline]] inline xsimd::batch<T> multiply_add(const xsimd::batch<T>& x, const xsimd::batch<T>& y, const xsimd::batch<T>& z) {
#ifdef __AVX512F__
  if constexpr (std::is_same_v<T, float>) return _mm512_fmadd_ps(x.data, y.data, z.data);
  else return _mm512_fmadd_pd(x.data, y.data, z.data);
#else
  return xsimd::fma(x, y, z);
#endif
}

}  // namespace expunge::host::detail
