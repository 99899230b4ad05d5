// What an unlearning run of a decoder needs of a device's memory, known before a tensor is made.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <iomanip>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "expunge/model/decoder_init.hpp"
#include "expunge/tensor/unmade_storage.hpp"
#include "expunge/unlearn/memory_use.hpp"

namespace expunge::unlearn {

/// Bytes by what they are for. All but `activations` are exact; those are estimated for the largest batch, see activation_values(): at most so
/// many where examples share rows.
/// Gradients are made while activations go, and `activations` is what they take beyond that.
struct memory_plan {
  std::size_t weights = 0;
  std::size_t gradients = 0;
  std::size_t moments = 0;       // of the optimizer
  std::size_t references = 0;    // SSIUU's A_{t-1}, kept between steps
  std::size_t attributions = 0;  // SSIUU's, during a step
  std::size_t activations = 0;   // and what else a tape holds
  std::size_t rounded = 0;       // weights, for products in bfloat16 on a device

  [[nodiscard]] std::size_t total() const { return weights + gradients + moments + references + attributions + activations + rounded; }
};

/// "about 3.1 GB (weights 0.5 GB, ...)" with what is not zero. One line.
[[nodiscard]] inline std::string describe(const memory_plan& p) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(1);
  const auto bytes = [&](const char* before, std::size_t n) {
    const bool large = n >= 1000000000;
    out << before << ' ' << static_cast<double>(n) * (large ? 1e-9 : 1e-6) << (large ? " GB" : " MB");
  };
  bytes("about", p.total());
  bytes(" (weights", p.weights);
  for (const auto& [name, n] : {std::pair{", gradients", p.gradients}, {", moments", p.moments}, {", references A_{t-1}", p.references},
                                {", attributions", p.attributions}, {", activations", p.activations}, {", rounded weights", p.rounded}})
    if (n > 0) bytes(name, n);
  out << ')';
  return out.str();
}

/// Throws expunge::error with the whole plan where it is larger than the `available` bytes of `where`.
inline void require_room(const memory_plan& p, std::size_t available, const std::string& where) {
  require(p.total() <= available, "this run does not fit: it needs ", describe(p), "; ", where, " has ", available / 1000000,
          " MB for it. Use a smaller batch, checkpoint (ga and gd), optimizer sgd (no moments), ssiuu per neuron, or more memory");
}

/// The most that `batch` examples of a set can have; alike where any two begin so.
[[nodiscard]] inline batch_size largest_batch(std::span<const nn::token_sequence> set, index_t batch) {
  std::vector<index_t> rows, labels;
  std::vector<const nn::token_sequence*> examples;
  for (const nn::token_sequence& s : set) {
    rows.push_back(std::ssize(s.tokens) - 1);
    labels.push_back(s.answer_length());
    examples.push_back(&s);
  }
  const nn::common_beginnings of_set(examples, 0);
  batch_size out{std::min(batch, std::ssize(set)), 0, 0, of_set.shared_rows < of_set.rows};
  for (const auto& [values, total] : {std::pair{&rows, &out.rows}, {&labels, &out.labels}}) {
    std::ranges::sort(*values, std::greater<>{});
    for (index_t i = 0; i < out.examples; ++i) *total += (*values)[static_cast<std::size_t>(i)];
  }
  return out;
}

/// What the trainer's settings and the model say about what is kept at once.
struct plan_settings {
  bool joint = true;        // trainer_settings::joint
  bool checkpoint = false;  // decoder::checkpoint, for base losses
};

/// The plan of unlearn::trainer on a decoder of tensors X. Batches of no examples leave the activations out. Of a storage that converts
/// operands all parameters are counted as such, a little more than the matrices.
template <class X = tensor<float>, class Loss, class Optimizer>
memory_plan plan_memory(const model::decoder_config& c, const Loss& loss, const Optimizer& optimizer, index_t forget_examples,
                        const batch_size& forget, const batch_size& retain, const plan_settings& how = {}) {
  constexpr storage_kind kind{converting_storage<typename X::storage_type>, device_storage<typename X::storage_type>};
  const auto shapes = model::empty_decoder<tensor<float, unmade_storage<float>>>(c);
  const index_t parameters = nn::parameter_count(shapes);
  loss_memory use = memory_of(loss, c, parameters, forget.examples, forget_examples);
  if (use.one_sweep && !how.joint) use.one_sweep = false, use.replayed = true, use.made = 0;
  use.joint = use.joint && how.joint;
  use.checkpoint = use.recomputes && how.checkpoint;
  const auto bytes = [&](index_t values) { return static_cast<std::size_t>(values) * sizeof(typename X::value_type); };
  const auto activations = [&](const batch_size& all, const batch_size& forgotten, const loss_memory& of) {
    return bytes(activation_values(c, all, forgotten, of, parameters, kind));
  };
  const batch_size both{forget.examples + retain.examples, forget.rows + retain.rows, forget.labels + retain.labels};
  const auto together = [&] {
    const std::size_t apart = activations(both, forget, use);
    if (!use.one_sweep || !(forget.alike || retain.alike) || !model::decoder<X>{}.share_beginnings) return apart;
    loss_memory replayed = use;
    replayed.replayed = true, replayed.made = 0;
    const auto sharing = [](batch_size b) { return b.rows = b.rows * 7 / 8, b; };  // at most, where it pays (nn::common_beginnings)
    return std::max(apart, activations(sharing(both), sharing(forget), replayed));
  };
  return {.weights = bytes(parameters + shapes.angles.cosines.size() + shapes.angles.sines.size()),
          .gradients = bytes(parameters),
          .moments = bytes(parameters * moments_of(optimizer)),
          .references = bytes(use.references),
          .attributions = bytes(use.attributions),
          .activations = use.joint ? together()
                                   : std::max(activations(forget, forget, use), activations(retain, {}, {.recomputes = true, .checkpoint = use.checkpoint})),
          .rounded = kind.converts ? 2 * static_cast<std::size_t>(parameters) : 0};
}

}  // namespace expunge::unlearn
