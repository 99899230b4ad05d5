// Storage on a CUDA device whose matrix products run on tensor cores in bfloat16.
#pragma once

#include <concepts>
#include <memory>

#include "expunge/tensor/cuda_storage.hpp"
#include "expunge/tensor/held_operands.hpp"

namespace expunge {

/// As cuda_storage, and elements are float as there: weights, gradients and moments keep all their bits. Products of matrices, those
/// inside attention too, round their operands to bfloat16 (8 bits of mantissa) in memory of their own and sum in float; those that are held (held_operands.hpp), once.
template <class T>
class bfloat16_cuda_storage : public cuda_storage<T> {
 public:
  template <class U>
  using rebind = bfloat16_cuda_storage<U>;
  using cuda_storage<T>::cuda_storage;

  template <class Primitive, class... Arguments>
  static void run(const Arguments&... arguments) {
    if constexpr (std::same_as<Primitive, primitive::gemm> && std::same_as<T, float>) cuda::gemm_bfloat16(arguments...);
    else if constexpr (std::same_as<Primitive, primitive::linear> && std::same_as<T, float>) cuda::linear_bfloat16(arguments...);
    else if constexpr (attends<Primitive> && std::same_as<T, float>)
      cuda_storage<T>::template run<Primitive>(arguments..., cuda::attention_operands::bfloat16);
    else cuda_storage<T>::template run<Primitive>(arguments...);
  }

  static std::shared_ptr<void> hold(const T* elements, index_t size)
    requires std::same_as<T, float>
  {
    return cuda::hold_bfloat16(elements, size);
  }

 private:
  template <class Primitive>
  static constexpr bool attends = std::same_as<Primitive, primitive::attention> || std::same_as<Primitive, primitive::attention_pushforward> ||
                                  std::same_as<Primitive, primitive::attention_pullback> || std::same_as<Primitive, primitive::attention_pullback_tangent>;
};

static_assert(storage<bfloat16_cuda_storage<float>> && holding_storage<bfloat16_cuda_storage<float>>);

}  // namespace expunge
