// Sums over the elements of tensors, which gather on their device: inner products, squares, whatever a functor returns.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "expunge/tensor/elementwise.hpp"

namespace expunge {

/// One number in double on X's device, [1]. Sums gather there without waiting for the device; value_of() waits.
template <class X>
using device_sum = tensor<double, typename X::storage_type::template rebind<double>>;

template <class X>
double value_of(const X& sum) {
  typename X::value_type value{};
  sum.download({&value, 1});
  return static_cast<double>(value);
}

/// As map_in_place, for an f that returns a batch (zero where all its arguments are): total += factor * the sum of those, in a fixed
/// order: a few hundred at a time as they are, those sums in double.
template <class F, class X, class... Rest>
void add_map_sum(device_sum<std::remove_const_t<X>>& total, double factor, const F& f, X& first, Rest&... rest) {
  (detail::require_size_of(first, rest), ...);
  std::remove_const_t<X>::template run<primitive::map_sum>(first.size(), f, factor, total.mutable_data(), detail::elements(first),
                                                           detail::elements(rest)...);
}

/// add_map_sum(total, factor, f, first[i], rest[i]...) for every i of vectors of tensors; a device takes many a launch.
template <class F, class First, class... Rest>
void add_map_sum_each(device_sum<typename First::value_type>& total, double factor, const F& f, First& first, Rest&... rest) {
  std::vector<decltype(detail::arrays_together(first[0], rest[0]...))> groups;
  detail::require_groups(first, rest...);
  for (std::size_t i = 0; i < first.size(); ++i) groups.push_back(detail::arrays_together(first[i], rest[i]...));
  First::value_type::template run<primitive::map_sum_each>(f, std::span(std::as_const(groups)), factor, total.mutable_data());
}

/// total += the sum of the squares of all tensors' elements, as add_map_sum adds those of each.
template <class X>
void add_sum_of_squares(device_sum<X>& total, const std::vector<X>& tensors) {
  add_map_sum_each(total, 1, functor::square{}, tensors);
}

/// Inner product over all elements; absent tensors are zero.
template <class X>
double inner_product(const X& a, const X& b) {
  if (a.absent() || b.absent()) return 0;
  auto total = zeros<device_sum<X>>(shape{1});
  add_map_sum(total, 1, functor::multiply{}, a, b);
  return value_of(total);
}

}  // namespace expunge

EXPUNGE_INSTANCES(EXPUNGE_TENSOR_SUMS, EXPUNGE_HOST_MAP_SUM)
EXPUNGE_INSTANCES(EXPUNGE_TENSOR_SUMS_OF_MANY, EXPUNGE_HOST_MAP_SUM)
