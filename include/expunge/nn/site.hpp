// Observation sites: where a model shows the outputs of its linear layers, and the observer that looks at none.
#pragma once

#include <array>
#include <cstddef>
#include <ostream>
#include <string_view>

#include "expunge/core/shape.hpp"

namespace expunge::nn {

/// The linear layer whose output is shown. `hidden` is the layer of a plain multi-layer perceptron.
enum class module { q, k, v, o, gate, up, down, hidden };
inline constexpr std::array<std::string_view, 8> module_names{"q", "k", "v", "o", "gate", "up", "down", "hidden"};

/// One linear layer of one block. Its neurons are the columns of what it shows, bias included, before rotary and activation.
struct site {
  index_t block = 0;
  nn::module module = nn::module::hidden;

  friend bool operator==(const site&, const site&) = default;
  friend std::ostream& operator<<(std::ostream& out, const site& s) {
    return out << "block " << s.block << ' ' << module_names[static_cast<std::size_t>(s.module)];
  }
};

/// An observer is called as `h = observe(site, h, offsets)` with h [rows, neurons] and the examples' ranges of h's rows
/// [examples + 1]; what it returns goes on through the model. This one looks at nothing and costs nothing.
struct no_observer {
  template <class V, class I>
  const V& operator()(const site&, const V& h, const I&) const {
    return h;
  }
  [[nodiscard]] static bool all_rows() { return false; }
};

/// Whether an observer has to see all rows of a site. One that has `bool all_rows() const`, and it is false, may be shown only those that
/// have an influence on a label, with their ranges.
template <class Observer>
bool needs_all_rows(const Observer& observe) {
  if constexpr (requires { observe.all_rows(); }) return observe.all_rows();
  else return true;
}

}  // namespace expunge::nn
