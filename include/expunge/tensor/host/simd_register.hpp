// SIMD registers as the compilers' own vectors, for what xsimd has no function for in every version.
#pragma once

#include <bit>
#include <cstddef>
#include <utility>

#include <xsimd/xsimd.hpp>

#include "expunge/core/shape.hpp"

namespace expunge::host::detail {

/// A register of `Size` elements in the compilers' own vectors, which every target has: loaded by quarters of 16 bytes (rows 0, quarter,
/// 2 quarter, ...), and the lower or upper halves of the quarters of two registers interleaved.
template <class T, std::size_t Size>
struct simd_register {
  typedef T type __attribute__((vector_size(Size * sizeof(T))));
  typedef T in_memory __attribute__((vector_size(Size * sizeof(T)), aligned(alignof(T)), may_alias));
  static constexpr std::size_t quarter = 16 / sizeof(T);

  template <bool Upper>
  static type interleave(type a, type b) {
    return []<std::size_t... E>(type x, type y, std::index_sequence<E...>) {
      return __builtin_shufflevector(x, y, (E / quarter * quarter + E % quarter / 2 + (Upper ? quarter / 2 : 0) + E % 2 * Size)...);
    }(a, b, std::make_index_sequence<Size>{});
  }
  static type load(const T* from, index_t stride) {
    if constexpr (Size == quarter) {
      return *reinterpret_cast<const in_memory*>(from);
    } else {
      using half = simd_register<T, Size / 2>;
      return []<std::size_t... E>(typename half::type x, typename half::type y, std::index_sequence<E...>) {
        return __builtin_shufflevector(x, y, E...);
      }(half::load(from, stride), half::load(from + static_cast<index_t>(Size / 2) * stride, stride), std::make_index_sequence<Size>{});
    }
  }
};

/// The sum of x's elements: halves are added until 16 bytes are left, and those in pairs of neighbours. (xsimd's own function has another name
/// since version 9, and adds in another order.)
template <class T, std::size_t Size = xsimd::batch<T>::size>
[[gnu::always_inline]] inline T sum_of(typename simd_register<T, Size>::type x) {
  if constexpr (Size == simd_register<T, Size>::quarter) {
    if constexpr (Size == 2) return x[0] + x[1];
    else return (x[0] + x[1]) + (x[2] + x[3]);
  } else {
    return []<std::size_t... E>(const auto& all, std::index_sequence<E...>) __attribute__((always_inline)) {
      return sum_of<T, Size / 2>(__builtin_shufflevector(all, all, E...) + __builtin_shufflevector(all, all, (Size / 2 + E)...));
    }(x, std::make_index_sequence<Size / 2>{});
  }
}
template <class T>
[[gnu::always_inline]] inline T sum_of(const xsimd::batch<T>& x) {
  return sum_of<T, xsimd::batch<T>::size>(std::bit_cast<typename simd_register<T, xsimd::batch<T>::size>::type>(x));
}

}  // namespace expunge::host::detail
