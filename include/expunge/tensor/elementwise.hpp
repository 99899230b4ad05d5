// Element-wise arithmetic of tensors, and of many at once, and what is made of it: fills, copies, rows that are kept.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
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

/// The arrays of tensors of one size, for an operation over many of such groups.
template <class X, class... Rest>
auto arrays_together(X& first, Rest&... rest) {
  return arrays_of<decltype(elements(first)), decltype(elements(rest))...>{{elements(first), elements(rest)...}, first.size()};
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
  std::vector<decltype(detail::arrays_together(first[0], rest[0]...))> alone;
  std::vector<arrays_of<decltype(first[0].operand_to_write()), typename X::pointer, decltype(detail::elements(rest[0]))...>> with_kept;
  detail::require_groups(first, rest...);
  for (std::size_t i = 0; i < first.size(); ++i) {
    if constexpr (converting)
      if (auto* const kept = first[i].operand_to_write()) {
        with_kept.push_back({{kept, const_cast<typename X::pointer>(first[i].data()), detail::elements(rest[i])...}, first[i].size()});
        continue;
      }
    alone.push_back(detail::arrays_together(first[i], rest[i]...));
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

}  // namespace expunge

EXPUNGE_INSTANCES(EXPUNGE_TENSOR_MAPS, EXPUNGE_HOST_MAP)
