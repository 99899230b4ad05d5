// A multi-layer perceptron classifier.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "expunge/autodiff/cross_entropy.hpp"
#include "expunge/autodiff/elementwise.hpp"
#include "expunge/core/random.hpp"
#include "expunge/nn/layers.hpp"
#include "expunge/nn/model_concept.hpp"

namespace expunge::model {

/// A sample: its features and its class.
struct labelled_sample {
  std::vector<double> features;
  std::int32_t label = 0;
};

/// Samples as rows; each is one example with one label.
template <class X>
struct sample_batch {
  X features;                        // [examples, features]
  typename X::index_tensor labels;   // [examples]
  typename X::index_tensor offsets;  // 0, 1, ..., examples
  std::vector<index_t> lengths;      // all 1
  std::vector<index_t> row_counts;   // all 1

  [[nodiscard]] index_t examples() const { return static_cast<index_t>(lengths.size()); }
};

/// logits = W_n F(... F(W_1 x + b_1) ...) + b_n. F is one of expunge::function or a struct like them.
template <class V, class F = function::relu>
struct mlp {
  using value_type = V;
  using X = tensor_of<V>;
  using example_type = labelled_sample;
  using batch_type = sample_batch<X>;

  std::vector<nn::linear_layer<V>> layers;

  /// Throws expunge::error for an empty batch, samples of different lengths, a label that is no class, or a model without layers.
  [[nodiscard]] batch_type make_batch(std::span<const labelled_sample* const> examples) const {
    require(!examples.empty(), "a batch needs at least one sample");
    require(!layers.empty(), "an mlp needs at least one layer; random_mlp makes them");
    const index_t width = primal_of(layers.front().weight).cols(), classes = primal_of(layers.back().weight).rows();
    std::vector<typename X::value_type> features;
    std::vector<std::int32_t> labels, offsets{0};
    for (const labelled_sample* s : examples) {
      require(std::ssize(s->features) == width, "a sample has ", s->features.size(), " features, the model takes ", width);
      require(s->label >= 0 && s->label < classes, "label ", s->label, " is outside the model's ", classes, " classes");
      for (const double f : s->features) features.push_back(static_cast<typename X::value_type>(f));
      labels.push_back(s->label);
      offsets.push_back(static_cast<std::int32_t>(labels.size()));
    }
    const index_t count = std::ssize(labels);
    return {X(shape{count, width}, features), typename X::index_tensor(shape{count}, labels),
            typename X::index_tensor(shape{count + 1}, offsets), std::vector<index_t>(labels.size(), 1), std::vector<index_t>(labels.size(), 1)};
  }

  /// [examples, classes]
  template <class Observer = nn::no_observer>
  V logits(const batch_type& batch, const Observer& observe = {}) const {
    V x{batch.features};
    for (std::size_t i = 0; i < layers.size(); ++i) {
      x = in_part(layers[i].weight, "layer " + std::to_string(i), [&] {
        const V z = observe(nn::site{static_cast<index_t>(i), nn::module::hidden}, layers[i](x), batch.offsets);
        return i + 1 < layers.size() ? unary<F>(z) : z;
      });
    }
    return x;
  }

  template <class Observer = nn::no_observer>
  V nll(const batch_type& batch, const Observer& observe = {}) const {
    return cross_entropy(logits(batch, observe), batch.labels);
  }

  template <class U>
  [[nodiscard]] mlp<U, F> rebound() const {
    return {std::vector<nn::linear_layer<U>>(layers.size())};
  }

  template <class Visit, class M, class... R>
  static void visit(const nn::name_path& at, const Visit& f, M& m, R&... r) {
    const nn::name_path root = at / "layers";
    for (std::size_t i = 0; i < m.layers.size(); ++i)
      nn::linear_layer<V>::visit(root[static_cast<index_t>(i)], f, m.layers[i], r.layers[i]...);
  }
};

/// Layers of the given widths (features first, classes last); normal weights of deviation sqrt(2 / inputs), zero biases. Throws
/// expunge::error for fewer than two widths, or one that is not positive.
template <class X, class F = function::relu>
mlp<X, F> random_mlp(const std::vector<index_t>& widths, std::uint64_t seed) {
  require(widths.size() >= 2, "an mlp needs at least an input and an output width");
  for (const index_t width : widths) require_positive(width, "an mlp's width", "units");
  mlp<X, F> made;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    philox generator(seed, i);
    std::vector<typename X::value_type> w(static_cast<std::size_t>(widths[i] * widths[i + 1]));
    for (auto& value : w)
      value = static_cast<typename X::value_type>(std::sqrt(2.0 / static_cast<double>(widths[i])) * standard_normal(generator));
    made.layers.push_back({X(shape{widths[i + 1], widths[i]}, w), zeros<X>({widths[i + 1]})});
  }
  return made;
}

}  // namespace expunge::model
