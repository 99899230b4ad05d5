// Zero-copy bridges between host tensors and xtensor.
#pragma once

#include <cstddef>
#include <vector>

#if __has_include(<xtensor/containers/xarray.hpp>)  // xtensor 0.26 and newer
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xarray.hpp>
#else
#if defined(__clang__) && defined(__cpp_template_template_args)
#error "clang 19 and newer does not compile xtensor before 0.26 (xtensor's issue 2804): use a newer xtensor, or clang's -fno-relaxed-template-template-args"
#endif
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#endif

#include "expunge/tensor/tensor.hpp"

namespace expunge {

namespace detail {
template <class T>
std::vector<std::size_t> extents_of(const tensor<T>& x) {
  if (x.absent()) return {0};
  return {x.extents().begin(), x.extents().end()};
}
}  // namespace detail

/// The tensor (an absent one: no elements) as an xtensor expression that shares its elements. The tensor must outlive the adaptor.
template <class T>
auto as_xtensor(tensor<T>& x) {
  const std::vector<std::size_t> extents = detail::extents_of(x);
  return xt::adapt(x.mutable_data(), static_cast<std::size_t>(x.size()), xt::no_ownership(), extents);
}
template <class T>
auto as_xtensor(const tensor<T>& x) {
  const std::vector<std::size_t> extents = detail::extents_of(x);
  return xt::adapt(x.data(), static_cast<std::size_t>(x.size()), xt::no_ownership(), extents);
}

/// A tensor that shares the elements of a row-major xarray (rank <= 4), which must outlive it.
template <class T>
tensor<T> from_xtensor(xt::xarray<T, xt::layout_type::row_major>& x) {
  require(x.dimension() <= shape::max_rank, "from_xtensor: rank ", x.dimension(), " exceeds ", shape::max_rank);
  return tensor<T>::view(shape(x.shape()), host_storage<T>::view(x.data()));
}

}  // namespace expunge
