// Host storage whose matrix products round their operands to bf16.
#pragma once

#include <type_traits>

#include "expunge/tensor/host/gemm_bfloat16.hpp"
#include "expunge/tensor/host/linear.hpp"
#include "expunge/tensor/host_storage.hpp"

namespace expunge {

namespace primitive {
struct gemm;
struct linear;
}

/// Models the concept `storage`: tensor<float, bfloat16_host_storage<float>> is a float tensor on the host (master weights,
/// gradients, sums and all other operations stay float) whose products take their operands as bf16.
template <class T>
class bfloat16_host_storage : public host_storage<T> {
 public:
  template <class U>
  using rebind = bfloat16_host_storage<U>;

  bfloat16_host_storage() = default;
  using host_storage<T>::host_storage;

  template <class Primitive, class... Arguments>
  static void run(const Arguments&... arguments) {
    constexpr bool product = std::is_same_v<Primitive, primitive::gemm> || std::is_same_v<Primitive, primitive::linear>;
    static_assert(!product || std::is_same_v<T, float>, "bfloat16_host_storage: products are of float; use host_storage for other numbers");
    const auto multiply = [](const auto&... of) { host::gemm_bfloat16(of...); };
    if constexpr (std::is_same_v<Primitive, primitive::gemm>) multiply(arguments...);
    else if constexpr (product) host::linear(multiply, arguments...);
    else host_storage<T>::template run<Primitive>(arguments...);
  }
};

}  // namespace expunge
