// Parameter trees: how a model names its tensors, and how all of them are walked, copied to another value type or summed up.
//
// A module is a struct template over the value type V with a static member
//   template <class F, class... M> static void visit(const name_path& at, const F& f, M&... m);
// that calls f(name, member of m...) for each parameter, in one fixed order, for any number of modules of equal structure. A parameter that
// it leaves out is absent, which is zero, in what is trained.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "expunge/autodiff/apply.hpp"

namespace expunge::nn {

/// A dotted name that is put together only when somebody asks for it. Until then it refers to the path and the text that it was made of: a path
/// that is kept in a variable needs each level before it in a variable too.
struct name_path {
  const name_path* parent = nullptr;
  std::string_view part{};
  index_t index = -1;

  [[nodiscard]] name_path operator/(std::string_view next) const { return {this, next, -1}; }
  [[nodiscard]] name_path operator[](index_t i) const { return {this, {}, i}; }

  /// For instance "model.layers.3.mlp.up_proj.weight".
  [[nodiscard]] std::string str() const {
    std::string prefix = parent != nullptr ? parent->str() : std::string{};
    std::string own = index >= 0 ? std::to_string(index) : std::string(part);
    return prefix.empty() ? own : own.empty() ? prefix : prefix + "." + own;
  }
};

/// Calls f(name_path, parameter...) for every parameter of modules of equal structure.
template <class F, class M, class... Rest>
void for_each_parameter(const F& f, M& first, Rest&... rest) {
  std::remove_const_t<M>::visit(name_path{}, f, first, rest...);
}

/// All parameters in visiting order (handles that share the model's memory).
template <class M>
auto parameters(const M& model) {
  std::vector<typename M::value_type> all;
  for_each_parameter([&](const name_path&, const auto& p) { all.push_back(p); }, model);
  return all;
}

/// Number of scalar parameters.
template <class M>
index_t parameter_count(const M& model) {
  index_t count = 0;
  for_each_parameter([&](const name_path&, const auto& p) { count += primal_of(p).size(); }, model);
  return count;
}

/// A model of equal structure whose parameter number i, of value type V, is make(i, parameter).
template <class V, class M, class F>
auto lifted(const M& model, const F& make) {
  auto made = model.template rebound<V>();
  std::size_t i = 0;
  for_each_parameter([&](const name_path&, const auto& p, auto& q) { q = make(i++, p); }, model, made);
  return made;
}

/// A deep copy.
template <class M>
M copy_of(const M& model) {
  M made = model;
  for_each_parameter([](const name_path&, auto& p) { p = clone(p); }, made);
  return made;
}

}  // namespace expunge::nn
