// Activations and other functions of one variable.
#pragma once

#include <numbers>

#include "expunge/tensor/fn.hpp"

namespace expunge {

/// Functions of one variable with their first two derivatives, on xsimd batches and on numbers. A user's own function is one more struct.
namespace function {

struct relu {
  template <class B> EXPUNGE_DEVICE static B value(const B& x) { return fn::select(x <= B(0), B(0), x); }  // what is no number stays so
  template <class B> EXPUNGE_DEVICE static B slope(const B& x) { return fn::select(x > B(0), B(1), B(0)); }
  template <class B> EXPUNGE_DEVICE static B curvature(const B&) { return B(0); }
};

struct tanh {
  template <class B> EXPUNGE_DEVICE static B value(const B& x) { return fn::tanh(x); }
  template <class B> EXPUNGE_DEVICE static B slope(const B& x) {
    const B t = value(x);
    return B(1) - t * t;
  }
  template <class B> EXPUNGE_DEVICE static B curvature(const B& x) {
    const B t = value(x);
    return B(-2) * t * (B(1) - t * t);
  }
};

struct sigmoid {
  template <class B> EXPUNGE_DEVICE static B value(const B& x) { return B(1) / (B(1) + fn::exp(-x)); }
  template <class B> EXPUNGE_DEVICE static B slope(const B& x) {
    const B s = value(x);
    return s * (B(1) - s);
  }
  template <class B> EXPUNGE_DEVICE static B curvature(const B& x) {
    const B s = value(x);
    return s * (B(1) - s) * (B(1) - B(2) * s);
  }
};

/// log(sigmoid(x)), accurate for large |x|.
struct log_sigmoid {
  template <class B> EXPUNGE_DEVICE static B value(const B& x) { return fn::min(x, B(0)) - fn::log1p(fn::exp(-fn::abs(x))); }
  template <class B> EXPUNGE_DEVICE static B slope(const B& x) { return sigmoid::value(-x); }
  template <class B> EXPUNGE_DEVICE static B curvature(const B& x) { return -sigmoid::slope(x); }
};

struct exp {
  template <class B> EXPUNGE_DEVICE static B value(const B& x) { return fn::exp(x); }
  template <class B> EXPUNGE_DEVICE static B slope(const B& x) { return fn::exp(x); }
  template <class B> EXPUNGE_DEVICE static B curvature(const B& x) { return fn::exp(x); }
};

struct log {
  template <class B> EXPUNGE_DEVICE static B value(const B& x) { return fn::log(x); }
  template <class B> EXPUNGE_DEVICE static B slope(const B& x) { return B(1) / x; }
  template <class B> EXPUNGE_DEVICE static B curvature(const B& x) { return B(-1) / (x * x); }
};

struct silu {
  template <class B> EXPUNGE_DEVICE static B value(const B& x) { return x * sigmoid::value(x); }
  template <class B> EXPUNGE_DEVICE static B slope(const B& x) {
    const B s = sigmoid::value(x);
    return s * (B(1) + x * (B(1) - s));
  }
  template <class B> EXPUNGE_DEVICE static B curvature(const B& x) {
    const B s = sigmoid::value(x);
    return s * (B(1) - s) * (B(2) + x * (B(1) - B(2) * s));
  }
};

/// x * Phi(x) with the normal distribution function.
struct gelu {
  template <class B> EXPUNGE_DEVICE static B value(const B& x) { return x * cdf(x); }
  template <class B> EXPUNGE_DEVICE static B slope(const B& x) { return cdf(x) + x * density(x); }
  template <class B> EXPUNGE_DEVICE static B curvature(const B& x) { return density(x) * (B(2) - x * x); }

 private:
  template <class B> EXPUNGE_DEVICE static B cdf(const B& x) {
    using T = fn::scalar_of<B>;
    return B(T(0.5)) * (B(1) + fn::erf(x * B(T(1) / std::numbers::sqrt2_v<T>)));
  }
  template <class B> EXPUNGE_DEVICE static B density(const B& x) {
    using T = fn::scalar_of<B>;
    return B(T(0.5) * std::numbers::inv_sqrtpi_v<T> * std::numbers::sqrt2_v<T>) * fn::exp(B(T(-0.5)) * x * x);
  }
};

/// The tanh approximation of gelu (GPT-2's "gelu_new"): x/2 (1 + tanh(u)), u = sqrt(2/pi) (x + 0.044715 x^3).
struct gelu_tanh {
  template <class B> EXPUNGE_DEVICE static B value(const B& x) { return half(x) * (B(1) + fn::tanh(u(x))); }
  template <class B> EXPUNGE_DEVICE static B slope(const B& x) {
    const B t = fn::tanh(u(x));
    return half(B(1) + t + x * (B(1) - t * t) * du(x));
  }
  template <class B> EXPUNGE_DEVICE static B curvature(const B& x) {
    const B t = fn::tanh(u(x));
    return (B(1) - t * t) * (du(x) + half(x) * (ddu(x) - B(2) * t * du(x) * du(x)));
  }

 private:
  template <class B> using scalar = fn::scalar_of<B>;
  template <class T> static constexpr T c = std::numbers::sqrt2_v<T> * std::numbers::inv_sqrtpi_v<T>;
  template <class B> EXPUNGE_DEVICE static B half(const B& x) { return B(scalar<B>(0.5)) * x; }
  template <class B> EXPUNGE_DEVICE static B u(const B& x) { return B(c<scalar<B>>) * (x + B(scalar<B>(0.044715)) * x * x * x); }
  template <class B> EXPUNGE_DEVICE static B du(const B& x) { return B(c<scalar<B>>) * (B(1) + B(scalar<B>(3 * 0.044715)) * x * x); }
  template <class B> EXPUNGE_DEVICE static B ddu(const B& x) { return B(c<scalar<B>> * scalar<B>(6 * 0.044715)) * x; }
};

/// With it the gated activation is the product.
struct identity {
  template <class B> EXPUNGE_DEVICE static B value(const B& x) { return x; }
  template <class B> EXPUNGE_DEVICE static B slope(const B&) { return B(1); }
  template <class B> EXPUNGE_DEVICE static B curvature(const B&) { return B(0); }
};

}  // namespace function

}  // namespace expunge
