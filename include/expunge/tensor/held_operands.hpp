// Matrices that nobody writes for a while, of which a storage may keep what its products make of them.
#pragma once

#include <concepts>
#include <memory>
#include <span>
#include <vector>

#include "expunge/core/shape.hpp"

namespace expunge {

/// A storage whose products convert their operands may offer `hold(pointer, size)`: products convert those elements once, until what it
/// returns is gone. bfloat16_cuda_storage does; elsewhere holding does nothing.
template <class S>
concept holding_storage = requires(typename S::const_pointer elements, index_t size) {
  { S::hold(elements, size) } -> std::same_as<std::shared_ptr<void>>;
};

/// Holds the matrices among `operands` while it lives. They must outlive it and stay as they are.
template <class X>
class held_operands {
 public:
  explicit held_operands(const X& operand) : held_operands(std::span(&operand, 1)) {}
  explicit held_operands(const std::vector<X>& operands) : held_operands(std::span(operands)) {}
  explicit held_operands(std::span<const X> operands) {
    if constexpr (holding_storage<typename X::storage_type>)
      for (const X& x : operands)
        if (x.extents().rank() == 2) held_.push_back(X::storage_type::hold(x.data(), x.size()));
  }

 private:
  std::vector<std::shared_ptr<void>> held_;
};

}  // namespace expunge
