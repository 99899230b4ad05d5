// Element-wise arithmetic as named functors, so that a device can compile the same ones (see host/map.hpp and cuda/map_elements.hpp).
#pragma once

#include "expunge/core/device.hpp"

// B is a batch or a number. An operator() that takes B& writes it; those that return a value are wrapped in assign or accumulate.
// Constants are of the element type T.
namespace expunge::functor {

/// y = f(a, ...)
template <class F>
struct assign {
  F f{};
  template <class B, class... A>
  EXPUNGE_DEVICE void operator()(B& y, const A&... a) const {
    y = f(a...);
  }
};
template <class F>
assign(F) -> assign<F>;

/// y += f(a, ...)
template <class F>
struct accumulate {
  F f{};
  template <class B, class... A>
  EXPUNGE_DEVICE void operator()(B& y, const A&... a) const {
    y += f(a...);
  }
};
template <class F>
accumulate(F) -> accumulate<F>;

/// f(x, ...), and y = x
template <class F>
struct along {
  F f{};
  template <class B, class... A>
  EXPUNGE_DEVICE void operator()(B& y, B& x, A&... a) const {
    f(x, a...);
    y = x;
  }
};
template <class F>
along(F) -> along<F>;

/// f(a, b, ...), and x = a, y = b
template <class F>
struct along_both {
  F f{};
  template <class B, class... A>
  EXPUNGE_DEVICE void operator()(B& x, B& y, B& a, B& b, A&... rest) const {
    f(a, b, rest...);
    x = a;
    y = b;
  }
};
template <class F>
along_both(F) -> along_both<F>;

/// y = value
template <class T>
struct fill {
  T value;
  template <class B>
  EXPUNGE_DEVICE void operator()(B& y) const {
    y = B(value);
  }
};

/// y += factor x
template <class T>
struct axpy {
  T factor;
  template <class B>
  EXPUNGE_DEVICE void operator()(B& y, const B& x) const {
    y += factor * x;
  }
};

/// y *= factor
template <class T>
struct scale {
  T factor;
  template <class B>
  EXPUNGE_DEVICE void operator()(B& y) const {
    y *= factor;
  }
};

// clang-format off
struct copy { template <class B> EXPUNGE_DEVICE B operator()(const B& x) const { return x; } };
struct negate { template <class B> EXPUNGE_DEVICE B operator()(const B& x) const { return -x; } };
struct add { template <class B> EXPUNGE_DEVICE B operator()(const B& a, const B& b) const { return a + b; } };
struct subtract { template <class B> EXPUNGE_DEVICE B operator()(const B& a, const B& b) const { return a - b; } };
struct square { template <class B> EXPUNGE_DEVICE B operator()(const B& x) const { return x * x; } };
struct multiply { template <class B> EXPUNGE_DEVICE B operator()(const B& a, const B& b) const { return a * b; } };
// clang-format on

}  // namespace expunge::functor

// Lists of functors with the arrays that they take, for whoever compiles them by name: MAP(functor, pointers...), and
// MAP_SUM likewise for those whose results are summed; lists OF_MANY are for operations over many groups of arrays. A type
// given to a list may hold no comma. EXPUNGE_ADDED_MAPS: of an F that a cotangent_slot adds, too (add_mapped), or host::linear.
#define EXPUNGE_ADDED_MAPS(MAP, T, F, ...)                                                                             \
  MAP(expunge::functor::assign<F>, T*, __VA_ARGS__)                                                                    \
  MAP(expunge::functor::accumulate<F>, T*, __VA_ARGS__)
#define EXPUNGE_TENSOR_MAPS(MAP, T)                                                                                   \
  MAP(expunge::functor::fill<T>, T*)                                                                                  \
  MAP(expunge::functor::scale<T>, T*)                                                                                 \
  MAP(expunge::functor::axpy<T>, T*, const T*)                                                                        \
  EXPUNGE_ADDED_MAPS(MAP, T, expunge::functor::copy, const T*)                                                         \
  MAP(expunge::functor::assign<expunge::functor::negate>, T*, const T*)                                                \
  MAP(expunge::functor::assign<expunge::functor::add>, T*, const T*, const T*)                                         \
  MAP(expunge::functor::assign<expunge::functor::subtract>, T*, const T*, const T*)                                    \
  EXPUNGE_ADDED_MAPS(MAP, T, expunge::functor::multiply, const T*, const T*)
#define EXPUNGE_TENSOR_SUMS(MAP_SUM, T)                                                                               \
  MAP_SUM(expunge::functor::copy, const T*)                                                                           \
  MAP_SUM(expunge::functor::multiply, const T*, const T*)
#define EXPUNGE_TENSOR_SUMS_OF_MANY(MAP_SUM, T) MAP_SUM(expunge::functor::square, const T*)
