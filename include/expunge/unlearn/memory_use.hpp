// How many values a step of a decoder keeps beside weights and gradients: what the loss and the optimizer ask for, and what is on the tape.
#pragma once

#include <algorithm>
#include <concepts>

#include "expunge/autodiff/linear_cross_entropy.hpp"
#include "expunge/loss/ssiuu.hpp"
#include "expunge/model/decoder_config.hpp"
#include "expunge/optim/optimizer.hpp"

namespace expunge::unlearn {

/// Rows (tokens) and labels of a batch, and its examples; whether these begin alike, so that they share rows (the counts are without that).
struct batch_size {
  index_t examples = 0, rows = 0, labels = 0;
  bool alike = false;
};

/// What of a tensor's storage decides what is kept.
struct storage_kind {
  bool converts = false, on_device = false;
};

/// What a loss policy asks of a tape, and how many values it keeps beside it.
struct loss_memory {
  bool joint = true;        // forget and retain examples on one tape
  bool one_sweep = false;   // of that; where examples share rows it is replayed instead
  bool recomputes = false;  // on a tape that computes cheap values again (autodiff/recompute.hpp)
  bool checkpoint = false;  // on one that keeps the blocks' inputs, and one block at a time
  bool replayed = false;    // on a tape that keeps the first sweep's cotangents
  bool tangents = false;    // and tangents
  bool gates = false;       // and the outputs of the feed-forward layers
  bool all_gates = false;   // and of all other linear layers
  index_t made = 0;         // gradients that the last sweep makes while activations go; others are there before it
  index_t references = 0, attributions = 0;
};

/// The neurons of a decoder's linear layers at the chosen sites; at all of them where the choice is one's own.
[[nodiscard]] inline index_t neurons_of(const model::decoder_config& c, attribution::sites which) {
  const index_t attention = c.heads * c.head_dim + 2 * c.kv_heads * c.head_dim + c.width;
  const index_t ffn = (c.family == model::decoder_family::gpt2 ? 1 : 2) * c.ffn_width + c.width;
  return c.layers * (ffn + (which == attribution::sites::ffn ? 0 : attention));
}

/// A base loss keeps nothing beside the tape. A policy with `start` has its own memory_of beside it.
template <class Loss>
loss_memory memory_of(const Loss&, const model::decoder_config&, index_t /*parameters*/, index_t /*batch*/, index_t /*forget*/) {
  static_assert(!loss::detail::has_start<Loss>, "plan_memory: a policy with `start` needs a `memory_of` that says what it keeps (unlearn/memory_use.hpp)");
  return {.recomputes = true, .made = 1};
}
template <class Base, class Attribution>
loss_memory memory_of(const loss::ssiuu<Base, Attribution>& policy, const model::decoder_config& c, index_t parameters, index_t batch, index_t forget) {
  const loss::ssiuu_settings& s = policy.settings;
  constexpr bool by_neuron = std::same_as<Attribution, attribution::per_neuron>;
  const bool exact = s.curvature == attribution::curvature::exact, previous = s.reference == loss::reference::previous;
  const bool by_example = !previous || s.reduction == loss::reduction::example;
  auto which = attribution::sites::all;
  if constexpr (by_neuron) which = policy.attribution.which;
  const index_t neurons = neurons_of(c, which);
  const index_t unit = by_neuron ? neurons : parameters;
  const bool joint = by_neuron || !by_example, one_sweep = joint && !by_neuron && !exact;
  return {.joint = joint,
          .one_sweep = one_sweep,
          .replayed = !one_sweep,
          .tangents = exact,
          .gates = by_neuron,
          .all_gates = by_neuron && which != attribution::sites::ffn,
          .made = one_sweep ? 2 : by_neuron ? 1 : 0,
          .references = unit * (!by_example ? 1 : previous ? batch : forget),
          .attributions = by_neuron ? 2 * neurons * batch : parameters * (exact ? 2 : 1) * (by_example ? batch : 1)};
}

/// Copies of the parameters that an optimizer keeps.
inline index_t moments_of(const optim::sgd& o) { return o.momentum != 0 ? 1 : 0; }
inline index_t moments_of(const optim::adamw&) { return 2; }

/// Values (numbers, not bytes) of a decoder's recorded pass beyond `use.made` gradients of all `parameters`, where most are in use: at the
/// end of the forward pass, or at the beginning or the end of the last sweep. Per row and layer, with w the width, q and v the widths of
/// queries and values, f of the feed-forward layer and h heads:
///   read by linear layers    2 w + q + f                      (outputs of the norms, of attention and of the activation)
///   their outputs            2 w + q + 2 v + 2 f              (without a gate one f less)
///   read by others           2 w + q + 2 v + 2 f + h + 2      (inputs of the norms, q k v, gate and up)
/// A tape that computes cheap values again keeps q of the first and all of the last. A replayed one keeps, of all rows, the first, the
/// cotangents of the second and what gates share with others; of the forget examples' rows the last, the cotangents of the first, and
/// tangents of both or, before there are any, what gates alone keep. Per label there are 2 w and, where few enough to be kept
/// (autodiff/linear_cross_entropy.hpp), the logits. A storage that converts operands keeps half a value of what linear layers and attention
/// read, and of its tangents beside them, and computes nothing again. To that comes what a sweep has in hand: the cotangents of one layer, or of a range
/// of logits with tangents and all, and the gradients of the output layer and the last block, which are made while little goes. With checkpoints
/// a tape keeps w per row and layer, and has the values of one block in hand.
[[nodiscard]] inline index_t activation_values(const model::decoder_config& c, const batch_size& b, const batch_size& forget, const loss_memory& use,
                                               index_t parameters, const storage_kind& kind) {
  const index_t w = c.width, q = c.heads * c.head_dim, v = c.kv_heads * c.head_dim, f = c.ffn_width;
  const index_t opened = c.family == model::decoder_family::gpt2 ? f : 2 * f;
  struct part {
    index_t read, read_tangent, recomputed, outputs, others, alone, shared;  // `recomputed` of `read`; the last two with a gate
  };
  part attention{w + q, w + q, w, q + 2 * v + w, w + q + 2 * v + c.heads + 1, q + v + w, v};
  part ffn{w + f, w + f, w + f, opened + w, w + opened + 1, w, opened};  // in the last block of labels instead of rows
  if (kind.converts) {
    for (part* p : {&attention, &ffn}) p->read /= 2, p->read_tangent += p->read, p->recomputed = 0;
    attention.others += q, attention.read_tangent -= q;  // attention reads its value, no longer beside a linear layer
    attention.read += (q + 2 * v) / 2, attention.others -= q + 2 * v;  // and q, k and v as operands, of all rows,
    attention.read_tangent += q / 2 + 2 * v;                           // which gates do not share
    attention.alone += v, attention.shared = 0;
    if (use.recomputes && opened == 2 * f) ffn.others -= opened / 2;   // a base loss has gate and up as operands alone
  }
  if (!use.gates) ffn.alone = ffn.shared = 0;
  if (!use.all_gates) attention.alone = attention.shared = 0;
  const index_t of_layer = (kind.converts && use.recomputes ? (opened + f) / 2 : opened + f) + 2 * w;  // cotangents
  const auto values = [&](const auto& per_row, const batch_size& of) {
    return (c.layers * per_row(attention) + (c.layers - 1) * per_row(ffn)) * of.rows + per_row(ffn) * std::min(of.labels, of.rows);
  };
  const auto recorded = [&](const part& p) { return p.read + p.others + p.alone; };
  const auto all_rows = [&](const part& p) {
    if (use.checkpoint) return index_t{0};
    if (use.replayed) return p.read + p.outputs + p.shared;
    return p.read + p.others - (use.recomputes ? p.recomputed : 0);
  };
  const auto forget_rows = [&](const part& p) {
    return use.replayed ? p.others - p.shared + p.read + (use.tangents ? p.read_tangent + p.others : p.alone) : 0;
  };
  const bool kept = detail::keeps_logits(b.labels, w, c.vocabulary, kind.on_device);
  const index_t range = b.labels == 0 ? 0 : detail::range_of_logits(b.labels, w, c.vocabulary, kind.on_device);
  const index_t first_made = c.vocabulary * w + (parameters - (c.tied ? 1 : 2) * c.vocabulary * w) / c.layers;
  const index_t of_block = use.checkpoint ? b.rows * (recorded(attention) + recorded(ffn)) : 0;
  const index_t of_labels = b.labels * (2 * w + (kept ? c.vocabulary : 0));
  const index_t in_hand = std::max(b.labels * (kept ? 1 : 2), use.tangents ? 4 * forget.labels : 0) * range + use.made * first_made;
  const index_t forward = values(recorded, b) + of_labels;
  const index_t begin = values(all_rows, b) + values(forget_rows, forget) + (use.checkpoint ? c.layers * w * b.rows : 0) + of_labels +
                        std::max(in_hand, of_block + b.rows * of_layer);
  const index_t end = use.made * parameters + of_block + b.rows * of_layer;
  return std::max({use.recomputes ? 0 : forward, begin, end}) - use.made * parameters;
}

}  // namespace expunge::unlearn
