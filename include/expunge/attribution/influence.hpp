// The diagnosis: did unlearning take positive influence away (D+, erased) or add negative influence (D-, hidden)?
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "expunge/attribution/functor.hpp"
#include "expunge/attribution/gate.hpp"
#include "expunge/nn/model_concept.hpp"

namespace expunge::attribution {

/// Attributions of one site, [examples, neurons] row by row: over an example's tokens the largest and smallest h * d/dh.
struct site_influence {
  nn::site where;
  index_t neurons = 0;
  std::vector<double> largest, smallest;
};

/// Activation x gradient at every selected site of every example, one backward pass a batch (Eq. 1; aggregates over tokens).
template <nn::model M>
std::vector<site_influence> influences(const M& model, std::span<const typename M::example_type> examples,
                                       measured what = measured::probability, sites which = sites::all, index_t batch = 8) {
  using X = typename M::value_type;
  require_positive(batch, "influences: batch", "examples");
  tape<X> recorded;
  gate_list<X> list{.which = which, .extremes = true};
  std::vector<site_influence> out;
  for (std::size_t begin = 0; begin < examples.size(); begin += static_cast<std::size_t>(batch)) {
    std::vector<const typename M::example_type*> chosen;
    for (std::size_t i = begin; i < std::min(examples.size(), begin + static_cast<std::size_t>(batch)); ++i) chosen.push_back(&examples[i]);
    const auto data = model.make_batch(chosen);
    recorded.clear();
    list.rewind();
    const auto lifted = nn::lifted<var<X>>(model, [&](std::size_t, const X& p) {
      auto leaf = recorded.leaf(p);
      leaf.origin->adjoint.wanted = false;  // no weight gradients
      return leaf;
    });
    const var<X> nll = lifted.nll(data, gate_observer<X>{&list});
    nn::check_sums_of_examples(nll.value.size(), data.lengths);
    recorded.pullback(nll, mapped(functor::measured_slope{what == measured::probability}, nll.value));
    list.check_shown();
    for (const auto& g : list.gates) g.check_reached();
    if (out.empty())
      for (const auto& g : list.gates) out.push_back({g.where, g.sum.cols(), {}, {}});
    for (std::size_t i = 0; i < out.size(); ++i) {
      for (const auto v : list.gates[i].largest.to_vector()) out[i].largest.push_back(static_cast<double>(v));
      for (const auto v : list.gates[i].smallest.to_vector()) out[i].smallest.push_back(static_cast<double>(v));
    }
  }
  return out;
}

/// D+ and D- of every neuron, clamped at zero (Appendix A), in the order of the sites.
struct influence_variation {
  struct neuron {
    nn::site where;
    index_t index = 0;
    double decrease_of_positive = 0;  // D+
    double increase_of_negative = 0;  // D-
  };
  std::vector<neuron> neurons;

  /// Values of one kind in decreasing order, of all sites or of one.
  [[nodiscard]] std::vector<double> sorted(double neuron::*kind, const std::optional<nn::site>& where = {}) const {
    std::vector<double> values;
    for (const neuron& n : neurons)
      if (!where || *where == n.where) values.push_back(n.*kind);
    std::sort(values.begin(), values.end(), std::greater<>{});
    return values;
  }
  /// Sum of the largest m values of a kind.
  [[nodiscard]] double top(double neuron::*kind, std::size_t m, const std::optional<nn::site>& where = {}) const {
    const auto values = sorted(kind, where);
    double total = 0;
    for (std::size_t i = 0; i < std::min(m, values.size()); ++i) total += values[i];
    return total;
  }
};

/// D+_i = mean over examples of max_k A_before - max(max_k A_after, 0);  D-_i = mean of min_k A_before - min_k A_after.
/// Throws expunge::error where the two were not taken from the same sites and examples, or from none.
inline influence_variation variation(std::span<const site_influence> before, std::span<const site_influence> after) {
  require(before.size() == after.size(), "influence: ", before.size(), " sites before and ", after.size(), " after");
  influence_variation out;
  for (std::size_t s = 0; s < before.size(); ++s) {
    const site_influence &b = before[s], &a = after[s];
    require(b.where == a.where && b.neurons == a.neurons && b.largest.size() == a.largest.size() &&
                b.smallest.size() == b.largest.size() && a.smallest.size() == a.largest.size() && b.neurons > 0 &&
                !b.largest.empty(),
            "influence: ", b.where, " has ", b.largest.size(), " values before and ", a.largest.size(), " after");
    const auto neurons = static_cast<std::size_t>(b.neurons);
    const std::size_t examples = b.largest.size() / neurons;
    for (std::size_t i = 0; i < neurons; ++i) {
      double positive = 0, negative = 0;
      for (std::size_t e = 0; e < examples; ++e) {
        positive += b.largest[e * neurons + i] - std::max(a.largest[e * neurons + i], 0.0);
        negative += b.smallest[e * neurons + i] - a.smallest[e * neurons + i];
      }
      require(std::isfinite(positive) && std::isfinite(negative), "influence: ", b.where, " has attributions that are not finite");
      const auto n = static_cast<double>(examples);
      out.neurons.push_back({b.where, static_cast<index_t>(i), std::max(positive / n, 0.0), std::max(negative / n, 0.0)});
    }
  }
  return out;
}

}  // namespace expunge::attribution
