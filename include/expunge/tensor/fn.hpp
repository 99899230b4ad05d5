// Mathematics for functors: the same call for a float, a double and an xsimd batch, and for a float or double on a GPU.
#pragma once

#include <cmath>
#include <type_traits>

#include "expunge/core/device.hpp"

namespace expunge::fn {

namespace detail {
template <class B>
struct scalar {
  using type = typename B::value_type;
};
template <class B>
  requires std::is_floating_point_v<B>
struct scalar<B> {
  using type = B;
};
}  // namespace detail

/// The element type of a batch; a number's own type.
template <class B>
using scalar_of = typename detail::scalar<B>::type;

// A batch's functions are found in the namespace of its type (argument-dependent lookup).
// clang-format off
template <class B> EXPUNGE_DEVICE B exp(const B& x) { using std::exp; return exp(x); }
template <class B> EXPUNGE_DEVICE B log(const B& x) { using std::log; return log(x); }
template <class B> EXPUNGE_DEVICE B log1p(const B& x) { using std::log1p; return log1p(x); }
template <class B> EXPUNGE_DEVICE B tanh(const B& x) { using std::tanh; return tanh(x); }
template <class B> EXPUNGE_DEVICE B erf(const B& x) { using std::erf; return erf(x); }
template <class B> EXPUNGE_DEVICE B sqrt(const B& x) { using std::sqrt; return sqrt(x); }
template <class B> EXPUNGE_DEVICE B abs(const B& x) { using std::abs; return abs(x); }
// clang-format on

/// condition ? a : b, element by element.
template <class C, class B>
EXPUNGE_DEVICE B select(const C& condition, const B& a, const B& b) {
  if constexpr (std::is_same_v<C, bool>) return condition ? a : b;
  else return select(condition, a, b);
}

template <class B>
EXPUNGE_DEVICE B max(const B& a, const B& b) {
  if constexpr (std::is_floating_point_v<B>) return a > b ? a : b;
  else return max(a, b);
}

template <class B>
EXPUNGE_DEVICE B min(const B& a, const B& b) {
  if constexpr (std::is_floating_point_v<B>) return a < b ? a : b;
  else return min(a, b);
}

/// -1, 0 or 1.
template <class B>
EXPUNGE_DEVICE B sign(const B& x) {
  if constexpr (std::is_floating_point_v<B>) return static_cast<B>((x > B(0)) - (x < B(0)));
  else return sign(x);
}

}  // namespace expunge::fn
