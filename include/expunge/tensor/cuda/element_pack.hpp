// Neighbouring elements that a thread of a device loads and stores at once.
#pragma once

#include <type_traits>

#include "expunge/core/shape.hpp"
#include "expunge/tensor/cuda/bfloat16.hpp"

namespace expunge::cuda {

/// 16 bytes of them.
template <class T>
struct alignas(16) element_pack {
  static constexpr int size = 16 / sizeof(T);
  T at[size];
};

/// What an element-wise operation computes with for elements E.
template <class E>
using number_of = std::conditional_t<std::is_same_v<std::remove_const_t<E>, bfloat16>, float, std::remove_const_t<E>>;

/// Where a pack of such numbers begins, an array's address is a multiple of so many bytes.
template <class E>
inline constexpr index_t pack_bytes = element_pack<number_of<E>>::size * static_cast<index_t>(sizeof(E));

template <int Count, class E>
struct alignas(Count * sizeof(E)) neighbours {
  std::remove_const_t<E> at[Count];
};
/// As many elements as such a pack has numbers.
template <class E>
using stored_pack = neighbours<element_pack<number_of<E>>::size, E>;

}  // namespace expunge::cuda
