// Element-wise arithmetic, products and reductions of tensors, without differentiation.
#pragma once

#include <concepts>
#include <span>
#include <utility>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/tensor/functor.hpp"
#include "expunge/tensor/primitive.hpp"
#include "expunge/tensor/tensor.hpp"

namespace expunge {

namespace detail {

template <class X, class Y>
void require_size_of(const X& x, const Y& y) {
  require(x.size() == y.size(), "element-wise operation on shapes ", x.extents(), " and ", y.extents());
}
template <class X, class... Rest>
void require_groups(const std::vector<X>& first, const Rest&... rest) {
  (require(rest.size() == first.size(), "element-wise operation on ", first.size(), " tensors and ", rest.size()), ...);
  for (std::size_t i = 0; i < first.size(); ++i) (require_size_of(first[i], rest[i]), ...);
}
template <class X>
void require_present(const X& x) {
  require(!x.absent(), "an operation on an absent tensor");
}
template <class X>
auto elements(X& x) {
  if constexpr (std::is_const_v<X>) return x.data();
  else return x.mutable_data();
}

}  // namespace detail

/// Calls f(batch&...) over the elements of tensors of one size; what f assigns is stored for the arguments that are not
/// const. On the host `f` works on xsimd::batch<T> (see host/map.hpp) and may be a
/// lambda; a device needs a named functor that works on T and was compiled for it (see functor.hpp).
template <class F, class X, class... Rest>
void map_in_place(const F& f, X& first, Rest&... rest) {
  (detail::require_size_of(first, rest), ...);
  std::remove_const_t<X>::template run<primitive::map>(first.size(), f, detail::elements(first), detail::elements(rest)...);
}

/// Who will read what an operation makes: anyone, or products alone and those operations that say so, which read what products read.
/// A storage whose products convert their operands then makes no more than that, an operand alone.
enum class read_by { anyone, products };

/// A new tensor that write(pointer) fills.
template <class X, read_by Readers, class F>
X written(const shape& extents, const F& write) {
  if constexpr (Readers == read_by::products) {
    X out = X::for_products(extents);
    write(out.operand_to_write());
    return out;
  } else {
    X out(extents);
    write(out.mutable_data());
    return out;
  }
}

/// x with elements: those of an operand alone are as it has them.
template <class X>
X with_elements(const X& x) {
  if constexpr (converting_storage<typename X::storage_type>)
    if (x.is_operand_alone()) {
      X made(x.extents());
      X::template run<primitive::map>(x.size(), functor::assign{functor::copy{}}, made.mutable_data(), x.kept_operand());
      return made;
    }
  return x;
}

/// A new tensor of the arguments' shape: f(batch a, ...), element by element.
template <read_by Readers = read_by::anyone, class F, class X, class... Rest>
X mapped(const F& f, const X& first, const Rest&... rest) {
  detail::require_present(first);
  (detail::require_size_of(first, rest), ...);
  return written<X, Readers>(first.extents(), [&](auto out) {
    X::template run<primitive::map>(first.size(), functor::assign{f}, out, first.data(), rest.data()...);
  });
}

/// As map_in_place(f, first[i], rest[i]...) for every i, where f overwrites first[i] alone of what products read: what they keep of it
/// changes with it. A device takes many tensors a launch.
template <class F, class X, class... Rest>
void update_in_place(const F& f, std::vector<X>& first, Rest&... rest) {
  constexpr bool converting = converting_storage<typename X::storage_type>;
  std::vector<arrays_of<typename X::pointer, decltype(detail::elements(rest[0]))...>> alone;
  std::vector<arrays_of<decltype(first[0].operand_to_write()), typename X::pointer, decltype(detail::elements(rest[0]))...>> with_kept;
  detail::require_groups(first, rest...);
  for (std::size_t i = 0; i < first.size(); ++i) {
    if constexpr (converting)
      if (auto* const kept = first[i].operand_to_write()) {
        with_kept.push_back({{kept, const_cast<typename X::pointer>(first[i].data()), detail::elements(rest[i])...}, first[i].size()});
        continue;
      }
    alone.push_back({{detail::elements(first[i]), detail::elements(rest[i])...}, first[i].size()});
  }
  X::template run<primitive::map_each>(f, std::span(std::as_const(alone)));
  if constexpr (converting) X::template run<primitive::map_each>(functor::along<F>{f}, std::span(std::as_const(with_kept)));
}

template <class X>
void fill(X& x, typename X::value_type value) {
  map_in_place(functor::fill<typename X::value_type>{value}, x);
}

template <class X>
X zeros(const shape& extents) {
  X made(extents);
  fill(made, 0);
  return made;
}

/// Makes x for kernels that add on the host, and on a device write what nobody has written: the memory for its first sum.
template <class X>
auto new_destination(X& x, const shape& extents) {
  if constexpr (device_storage<typename X::storage_type>) {
    x = X(extents);
    return destination<typename X::value_type>{x.mutable_data(), true};
  } else {
    x = zeros<X>(extents);
    return x.mutable_data();
  }
}

template <class X>
X clone(const X& x) {
  return mapped(functor::copy{}, x);
}

/// y = x element by element, in y's memory.
template <class X>
void copy_into(X& y, const X& x) {
  map_in_place(functor::assign{functor::copy{}}, y, x);
}

/// The rows of `first` above those of `second` in the form to which products convert, and in no other.
template <class X>
  requires converting_storage<typename X::storage_type>
X stacked_for_products(const X& first, const X& second) {
  X out = X::for_products(second.extents().with_first(first.extents()[0] + second.extents()[0]));
  const auto to = out.operand_to_write();
  const std::vector<arrays_of<std::remove_const_t<decltype(to)>, typename X::const_pointer>> parts{{{to, first.data()}, first.size()},
                                                                                                   {{to + first.size(), second.data()}, second.size()}};
  X::template run<primitive::map_each>(functor::assign{functor::copy{}}, std::span(parts));
  return out;
}

/// Leaves the first rows of x. The memory of the others goes where nobody else has it.
template <class X>
void keep_rows(X& x, index_t count) {
  const bool frees = x.unique() && count < x.extents()[0];
  x = x.slice(0, count);
  if (!frees) return;
  if constexpr (shrinking_storage<typename X::storage_type>)
    if (x.release_rest()) return;
  if constexpr (std::floating_point<typename X::value_type>) x = clone(x);
}

/// y += factor * x
template <class X>
void axpy(X& y, typename X::value_type factor, const X& x) {
  map_in_place(functor::axpy<typename X::value_type>{factor}, y, x);
}

template <class X>
void scale_in_place(X& x, typename X::value_type factor) {
  map_in_place(functor::scale<typename X::value_type>{factor}, x);
}

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
  std::vector<arrays_of<decltype(detail::elements(first[0])), decltype(detail::elements(rest[0]))...>> groups;
  detail::require_groups(first, rest...);
  for (std::size_t i = 0; i < first.size(); ++i) groups.push_back({{detail::elements(first[i]), detail::elements(rest[i])...}, first[i].size()});
  First::value_type::template run<primitive::map_sum_each>(f, std::span(std::as_const(groups)), factor, total.mutable_data());
}

/// total += the sum of the squares of all tensors' elements, as add_map_sum adds those of each.
template <class X>
void add_sum_of_squares(device_sum<X>& total, const std::vector<X>& tensors) {
  add_map_sum_each(total, 1, functor::square{}, tensors);
}

/// total += factor * inner product of a and b over all elements, as add_map_sum adds; of a alone where b is absent.
template <class X>
void add_inner_product(device_sum<X>& total, const X& a, const X& b, double factor = 1) {
  if (b.absent()) add_map_sum(total, factor, functor::copy{}, a);
  else add_map_sum(total, factor, functor::multiply{}, a, b);
}

namespace detail {
/// What add_inner_product adds to nothing.
template <class X>
double inner_product_or_sum(const X& a, const X& b) {
  auto total = zeros<device_sum<X>>(shape{1});
  add_inner_product(total, a, b);
  return value_of(total);
}
}  // namespace detail

/// Inner product over all elements; absent tensors are zero.
template <class X>
double inner_product(const X& a, const X& b) {
  return a.absent() || b.absent() ? 0 : detail::inner_product_or_sum(a, b);
}

/// Sum of all elements; of an absent tensor zero.
template <class X>
double sum_of(const X& x) {
  return x.absent() ? 0 : detail::inner_product_or_sum(x, X{});
}

namespace detail {
template <class X>
void multiply(bool transpose_a, bool transpose_b, typename X::value_type alpha, const X& a, const X& b, typename X::value_type beta, const X& out,
              auto to) {
  require(!a.absent() && !b.absent() && !out.absent(), "matrix product: an operand or the result is absent");
  const index_t m = transpose_a ? a.cols() : a.rows();
  const index_t k = transpose_a ? a.rows() : a.cols();
  const index_t inner = transpose_b ? b.cols() : b.rows();
  const index_t n = transpose_b ? b.rows() : b.cols();
  require(k == inner && out.rows() == m && out.cols() == n, "matrix product of ", a.extents(), transpose_a ? "^T" : "", " and ",
          b.extents(), transpose_b ? "^T" : "", " into ", out.extents());
  X::template run<primitive::gemm>(transpose_a, transpose_b, m, n, k, alpha, a.operand(), b.operand(), beta, to);
}
}  // namespace detail

/// out = alpha * op(A) op(B) + beta * out, each read as a matrix of rows() x cols(); `out` shares no elements with a or b.
template <class X>
void gemm(bool transpose_a, bool transpose_b, typename X::value_type alpha, const X& a, const X& b, typename X::value_type beta,
          X& out) {
  detail::multiply(transpose_a, transpose_b, alpha, a, b, beta, out, out.mutable_data());
}

/// The same as a new tensor, made in the form that products read and in no other: for operations that accept operands.
template <class X>
X product_for_products(bool transpose_a, bool transpose_b, typename X::value_type alpha, const X& a, const X& b) {
  X out = X::for_products(shape{transpose_a ? a.cols() : a.rows(), transpose_b ? b.rows() : b.cols()});
  detail::multiply(transpose_a, transpose_b, alpha, a, b, 0, out, out.operand_to_write());
  return out;
}

/// y = x W^T + bias + onto: x [rows, in], weight [out, in], bias [out] for every row or absent, onto like y or absent. One primitive, so
/// that a device's product adds them itself.
template <class X>
void linear_into(const X& x, const X& weight, const X& bias, const X& onto, X& y) {
  require(!x.absent() && !weight.absent() && !y.absent(), "linear: the input, the weight or the output is absent");
  require(weight.extents().rank() == 2 && x.cols() == weight.cols(), "linear: input ", x.extents(), " for weight ", weight.extents());
  require(bias.absent() || bias.size() == weight.rows(), "linear: bias ", bias.extents(), " for weight ", weight.extents());
  require(y.rows() == x.rows() && y.cols() == weight.rows(), "linear: output ", y.extents(), " for input ", x.extents(), " and weight ",
          weight.extents());
  require(onto.absent() || onto.extents() == y.extents(), "linear: output ", y.extents(), " onto ", onto.extents());
  X::template run<primitive::linear>(x.rows(), weight.rows(), x.cols(), x.operand(), weight.operand(), bias.data(), onto.data(), y.mutable_data());
}

}  // namespace expunge

EXPUNGE_INSTANCES(EXPUNGE_TENSOR_MAPS, EXPUNGE_HOST_MAP)
EXPUNGE_INSTANCES(EXPUNGE_TENSOR_SUMS, EXPUNGE_HOST_MAP_SUM)
EXPUNGE_INSTANCES(EXPUNGE_TENSOR_SUMS_OF_MANY, EXPUNGE_HOST_MAP_SUM)
