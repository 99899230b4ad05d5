// The inner kernel of a matrix product: a tile of the result kept in registers, and the packed operands it reads.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include <Eigen/Core>
#include <xsimd/xsimd.hpp>

#include "expunge/core/shape.hpp"

namespace expunge::host::detail {

/// A tile is `rows` x `width`: as many accumulators as the registers hold beside two of B and a broadcast of A. A packed
/// tile of A is [k][step], a packed panel of B [k][width]; what exceeds the operand is finite or never used.
template <class T>
struct gemm_tile {
  using batch = xsimd::batch<T>;
  static constexpr index_t width = 2 * static_cast<index_t>(batch::size);
  static constexpr index_t rows = batch::size * sizeof(T) == 64 ? (batch::size == 16 ? 14 : 8) : std::min<index_t>(6, batch::size);
  static constexpr auto step = static_cast<index_t>(batch::size);
};

/// from[i * stride + p] to out[p * step + i] for i in [0, rows), p in [0, k): squares of the SIMD width where they fit.
template <class T>
void pack_transposed(const T* from, index_t stride, index_t rows, index_t k, T* out, index_t step) {
  using packet = typename Eigen::internal::packet_traits<T>::type;
  constexpr index_t size = Eigen::internal::packet_traits<T>::size;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"  // the packet's alignment, which the block keeps
  Eigen::internal::PacketBlock<packet, size> square;
#pragma GCC diagnostic pop
  for (index_t i = 0; i < rows; i += size) {
    const index_t last = std::min(size, rows - i) - 1;
    index_t p = 0;
    for (; p + size <= k && i + size <= step; p += size) {  // rows beyond the last repeat it: they land in the padding
      for (index_t r = 0; r < size; ++r) square.packet[r] = Eigen::internal::ploadu<packet>(from + (i + std::min(r, last)) * stride + p);
      Eigen::internal::ptranspose(square);
      for (index_t r = 0; r < size; ++r) Eigen::internal::pstoreu(out + (p + r) * step + i, square.packet[r]);
    }
    for (; p < k; ++p)
      for (index_t r = 0; r <= last; ++r) out[p * step + i + r] = from[(i + r) * stride + p];
  }
}

/// from[p * stride + j] to out[p * step + j] for j in [0, columns), p in [0, k); `readable` elements of each row may be read.
template <class T>
void pack_straight(const T* from, index_t stride, index_t columns, index_t readable, index_t k, T* out, index_t step) {
  using batch = xsimd::batch<T>;
  constexpr auto size = static_cast<index_t>(batch::size);
  constexpr index_t ahead = 16;  // rows to prefetch: they lie a stride apart, which no hardware prefetcher follows
  for (index_t p = 0; p < k; ++p, from += stride, out += step) {
    for (index_t j = 0; j < columns; j += size) {
      __builtin_prefetch(from + ahead * stride + j);
      if (j + size <= readable) batch::load_unaligned(from + j).store_unaligned(out + j);
      else std::copy(from + j, from + columns, out + j);
    }
  }
}

/// C = alpha A B + beta C for one tile of `sizeof...(R)` rows. Each element is one chain of multiply-adds along k, so its bits
/// do not depend on how the product was split. beta = 0 never reads C.
template <class T, std::size_t... R>
void multiply_tile(index_t k, const T* a, const T* b, T alpha, T beta, T* c, index_t stride, index_t columns, std::index_sequence<R...>) {
  using batch = xsimd::batch<T>;
  constexpr auto size = static_cast<index_t>(batch::size);
  constexpr index_t width = 2 * size, rows = sizeof...(R);
  std::array<batch, sizeof...(R)> left{((void)R, batch(T{0}))...}, right = left;
  ((__builtin_prefetch(c + static_cast<index_t>(R) * stride, 1), __builtin_prefetch(c + static_cast<index_t>(R) * stride + columns - 1, 1)), ...);
  for (index_t p = 0; p < k; ++p, a += gemm_tile<T>::step, b += width) {
    const batch b0 = batch::load_unaligned(b), b1 = batch::load_unaligned(b + size);
    const auto step = [&](const batch& x, batch& l, batch& r) {
      l = xsimd::fma(x, b0, l);
      r = xsimd::fma(x, b1, r);
    };
    (step(batch(a[R]), left[R], right[R]), ...);
  }
  const batch factor(alpha), kept(beta);
  if (columns == width && beta == T{0}) {
    (((factor * left[R]).store_unaligned(c + static_cast<index_t>(R) * stride),
      (factor * right[R]).store_unaligned(c + static_cast<index_t>(R) * stride + size)), ...);
  } else if (columns == width) {
    const auto add = [&](const batch& sum, T* at) { xsimd::fma(kept, batch::load_unaligned(at), factor * sum).store_unaligned(at); };
    ((add(left[R], c + static_cast<index_t>(R) * stride), add(right[R], c + static_cast<index_t>(R) * stride + size)), ...);
  } else {
    std::array<T, static_cast<std::size_t>(rows * width)> sums;
    ((left[R].store_unaligned(&sums[R * width]), right[R].store_unaligned(&sums[R * width + size])), ...);
    for (index_t i = 0; i < rows; ++i)
      for (index_t j = 0; j < columns; ++j) {
        T& at = c[i * stride + j];
        at = alpha * sums[static_cast<std::size_t>(i * width + j)] + (beta == T{0} ? T{0} : beta * at);
      }
  }
}

/// multiply_tile for 1 to gemm_tile<T>::rows rows.
template <class T>
void multiply_tile(index_t rows, index_t k, const T* a, const T* b, T alpha, T beta, T* c, index_t stride, index_t columns) {
  using kernel = void (*)(index_t, const T*, const T*, T, T, T*, index_t, index_t);
  static constexpr auto kernels = []<std::size_t... R>(std::index_sequence<R...>) {
    return std::array<kernel, sizeof...(R)>{[](index_t k_, const T* a_, const T* b_, T alpha_, T beta_, T* c_, index_t stride_, index_t columns_) {
      multiply_tile<T>(k_, a_, b_, alpha_, beta_, c_, stride_, columns_, std::make_index_sequence<R + 1>{});
    }...};
  }(std::make_index_sequence<gemm_tile<T>::rows>{});
  kernels[static_cast<std::size_t>(rows - 1)](k, a, b, alpha, beta, c, stride, columns);
}

}  // namespace expunge::host::detail
