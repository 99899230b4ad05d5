// Layers as parameter structs over the value type: linear, RMSNorm or LayerNorm.
#pragma once

#include "expunge/autodiff/linear.hpp"
#include "expunge/autodiff/norm.hpp"
#include "expunge/nn/parameter_tree.hpp"

namespace expunge::nn {

/// y = x weight^T + bias; weight [out, in], bias [out] or absent.
template <class V>
struct linear_layer {
  V weight{}, bias{};

  V operator()(const V& x) const { return linear(x, weight, bias); }
  /// to + this layer of x.
  V onto(const V& to, const V& x) const { return linear(x, weight, bias, to); }
  /// The layer where those alone read it.
  template <read_by Readers>
  V for_readers(const V& x) const {
    return linear<Readers>(x, weight, bias);
  }

  template <class F, class M, class... Rest>
  static void visit(const name_path& at, const F& f, M& m, Rest&... rest) {
    f(at / "weight", m.weight, rest.weight...);
    if (!primal_of(m.bias).absent()) f(at / "bias", m.bias, rest.bias...);
  }
};

/// LayerNorm where it has a bias, RMSNorm where not; weight [width].
template <class V>
struct norm_layer {
  V weight{}, bias{};

  V operator()(const V& x, typename tensor_of<V>::value_type epsilon) const { return normalised<read_by::anyone>(x, epsilon); }
  /// The same where linear layers alone read it.
  V for_products(const V& x, typename tensor_of<V>::value_type epsilon) const { return normalised<read_by::products>(x, epsilon); }

  template <class F, class M, class... Rest>
  static void visit(const name_path& at, const F& f, M& m, Rest&... rest) {
    f(at / "weight", m.weight, rest.weight...);
    if (!primal_of(m.bias).absent()) f(at / "bias", m.bias, rest.bias...);
  }

 private:
  template <read_by Readers>
  V normalised(const V& x, typename tensor_of<V>::value_type epsilon) const {
    return primal_of(bias).absent() ? rms_norm<Readers>(x, weight, epsilon) : layer_norm<Readers>(x, weight, bias, epsilon);
  }
};

}  // namespace expunge::nn
