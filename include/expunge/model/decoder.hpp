// Transformer decoders: Llama (SmolLM2, Llama 3), Qwen2 and GPT-2, one template over the value type.
#pragma once

#include <cmath>
#include <concepts>
#include <string>
#include <utility>
#include <vector>

#include "expunge/autodiff/operations.hpp"
#include "expunge/autodiff/recompute.hpp"
#include "expunge/model/decoder_config.hpp"
#include "expunge/model/key_value_cache.hpp"
#include "expunge/nn/checkpoint.hpp"
#include "expunge/nn/layers.hpp"
#include "expunge/nn/model_concept.hpp"
#include "expunge/nn/token_batch.hpp"

namespace expunge::model {

/// One block: attention and feed-forward, each behind its norm and added to the stream.
template <class V>
struct decoder_block {
  nn::norm_layer<V> attention_norm, ffn_norm;
  nn::linear_layer<V> q, k, v, o, gate, up, down;  // gate absent: down(gelu(up x)) instead of down(silu(gate x) * up x)

  using X = tensor_of<V>;

  /// x [rows, width] -> [rows, width], or with `at_labels`, which leaves out what no label depends on, [labels, width]; `past` as in
  /// decoder::stream.
  template <class Observer>
  V operator()(const decoder_config& config, index_t number, const V& x, const nn::token_batch<X>& batch, const rotary_table<X>& angles,
               const Observer& observe, key_value_cache<X>* past, bool at_labels) const {
    using T = typename X::value_type;
    const auto epsilon = static_cast<T>(config.norm_epsilon);
    const auto& ranges = at_labels ? batch.label_offsets : batch.offsets;  // behind attention
    const auto seen = [&](nn::module m, const V& h, const auto& of_examples) { return observe(nn::site{number, m}, h, of_examples); };
    const auto needed = [&](const V& h) { return at_labels ? gather(h, batch.label_rows) : h; };
    // What an observer sees is for anyone, and what inference keeps for later rows; the rest for those operations that read operands.
    constexpr auto ffn_readers = std::same_as<Observer, nn::no_observer> ? read_by::products : read_by::anyone;
    constexpr auto rotated_readers = is_tensor<V> ? read_by::anyone : read_by::products;
    constexpr auto attention_readers = is_tensor<V> ? read_by::anyone : ffn_readers;
    const auto rotated = [&](const V& h, index_t heads) {
      return angles.cosines.absent() ? h : rotary<rotated_readers>(h, batch.positions, angles, heads);
    };
    const V a = attention_norm.for_products(x, epsilon);  // [rows, width]
    const auto for_attention = [&](nn::module m, const nn::linear_layer<V>& layer) {
      return seen(m, layer.template for_readers<attention_readers>(a), batch.offsets);
    };
    const V queries = rotated(for_attention(nn::module::q, q), config.heads);  // [rows, heads * head_dim]
    const V keys = rotated(for_attention(nn::module::k, k), config.kv_heads);  // [rows, kv_heads * head_dim]
    const V values = for_attention(nn::module::v, v);
    recompute_later(a);
    const V attended = needed(attend(config, number, queries, keys, values, batch, past));
    const auto onto = [&](const V& stream, nn::module m, const nn::linear_layer<V>& layer, const V& h) {
      if constexpr (ffn_readers == read_by::products) return layer.onto(stream, h);
      else return stream + seen(m, layer(h), ranges);
    };
    const V middle = onto(needed(x), nn::module::o, o, attended);
    const V b = ffn_norm.for_products(middle, epsilon);
    const auto opened = [&](nn::module m, const nn::linear_layer<V>& layer) { return seen(m, layer.template for_readers<ffn_readers>(b), ranges); };
    const auto gated = [&] {
      const V by = opened(nn::module::gate, gate);  // before up: compilers differ in the order of arguments
      return swiglu<read_by::products>(by, opened(nn::module::up, up));
    };
    const bool without_gate = primal_of(gate.weight).absent();
    const V inner = without_gate ? gelu_tanh<read_by::products>(seen(nn::module::up, up(b), ranges)) : gated();  // [rows or labels, ffn_width]
    recompute_later(b);
    const V out = onto(middle, nn::module::down, down, inner);
    recompute_later(inner);
    return out;
  }

  /// To an example's own rows, or to all that the batch names for it.
  static V attend(const decoder_config& config, index_t number, const V& q, const V& k, const V& v, const nn::token_batch<X>& batch,
                  key_value_cache<X>* past) {
    const auto scale = static_cast<typename X::value_type>(1 / std::sqrt(static_cast<double>(config.head_dim)));
    if (!batch.shares_rows()) return causal_attention(q, k, v, batch.offsets, config.heads, config.kv_heads, scale);
    const auto of = [&](const V& keys, const V& values) {
      return causal_attention(q, gather(keys, batch.key_rows), gather(values, batch.key_rows), batch.offsets, batch.key_offsets, config.heads,
                              config.kv_heads, scale);
    };
    if constexpr (is_tensor<V>) {
      if (past != nullptr) {
        const auto [keys, values] = past->append(number, k, v);
        return of(keys, values);
      }
    }
    return of(k, v);
  }

  template <class F, class M, class... R>
  static void visit(const nn::name_path& at, const F& f, M& m, R&... r) {
    nn::norm_layer<V>::visit(at / "input_layernorm", f, m.attention_norm, r.attention_norm...);
    const nn::name_path attention = at / "self_attn", ffn = at / "mlp";
    nn::linear_layer<V>::visit(attention / "q_proj", f, m.q, r.q...);
    nn::linear_layer<V>::visit(attention / "k_proj", f, m.k, r.k...);
    nn::linear_layer<V>::visit(attention / "v_proj", f, m.v, r.v...);
    nn::linear_layer<V>::visit(attention / "o_proj", f, m.o, r.o...);
    nn::norm_layer<V>::visit(at / "post_attention_layernorm", f, m.ffn_norm, r.ffn_norm...);
    if (!primal_of(m.gate.weight).absent()) nn::linear_layer<V>::visit(ffn / "gate_proj", f, m.gate, r.gate...);
    nn::linear_layer<V>::visit(ffn / "up_proj", f, m.up, r.up...);
    nn::linear_layer<V>::visit(ffn / "down_proj", f, m.down, r.down...);
  }
};

/// A decoder whose parameters are of value type V. Parameter names are those of Hugging Face's Llama for every family.
template <class V>
struct decoder {
  using value_type = V;
  using X = tensor_of<V>;
  using example_type = nn::token_sequence;
  using batch_type = nn::token_batch<X>;

  decoder_config config;
  rotary_table<X> angles;  // absent for learned positions
  V embedding{};           // [vocabulary, width]
  V positions{};           // [context, width], learned; absent for rotary
  std::vector<decoder_block<V>> blocks;
  nn::norm_layer<V> final_norm;
  V head{};                // [vocabulary, width]; absent where tied to the embedding
  double label_smoothing = 0;  // of nll(), in [0, 1), for training: 0 where one measures or uses SSIUU, which take nll() as -log P(y|x)
  bool checkpoint = false;     // gradients of base losses keep one value a block and run the block again: less memory, a third more
                               // products; where an observer looks it has no effect
  /// Training runs tokens with which examples of a batch begin alike once; never with products that convert operands.
  bool share_beginnings = !device_storage<typename X::storage_type>;

  /// Throws expunge::error as nn::make_token_batch does.
  [[nodiscard]] batch_type make_batch(std::span<const nn::token_sequence* const> examples) const {
    return nn::make_token_batch<X>(examples, config.vocabulary, config.context);
  }

  /// The same; examples share the rows of the tokens with which they begin alike.
  [[nodiscard]] batch_type make_shared_batch(std::span<const nn::token_sequence* const> examples) const {
    return nn::make_shared_token_batch<X>(examples, nn::common_beginnings(examples, 0), config.vocabulary, config.context);
  }

  /// What nn::training_batch asks for: shared where that pays. A model that is made of this one and has a make_batch of its own needs its own
  /// of these too.
  [[nodiscard]] batch_type make_training_batch(std::span<const nn::token_sequence* const> examples, index_t apart) const {
    if (share_beginnings && !converting_storage<typename X::storage_type>)
      if (const nn::common_beginnings alike(examples, apart); alike.pay())
        return nn::make_shared_token_batch<X>(examples, alike, config.vocabulary, config.context);
    return make_batch(examples);
  }

  /// The residual stream after the last block at the rows that predict a label, [labels, width]. A batch that shares rows may follow
  /// batches before it, whose keys and values are in `past` and come first in the numbers of its key_rows; its own are appended.
  template <class Observer = nn::no_observer>
  V stream(const batch_type& batch, const Observer& observe = {}, key_value_cache<X>* past = nullptr) const {
    require(past == nullptr || batch.shares_rows(), "decoder: rows attend to a past only where the batch names its rows (make_shared_batch)");
    V x = in_part(embedding, "the embedding", [&] { return gather(embedding, batch.tokens); });
    if (!primal_of(positions).absent()) x = x + gather(positions, batch.positions);
    const bool fewer = !nn::needs_all_rows(observe) && batch.label_rows.size() < batch.tokens.size();
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const auto run = [number = static_cast<index_t>(i), observe, c = config, a = angles, past, at_labels = fewer && i + 1 == blocks.size()](
                           const auto& block, const auto& in, const batch_type& rows) {
        return block(c, number, in, rows, a, observe, past, at_labels);
      };
      x = in_part(x, "block " + std::to_string(i), [&] {
        if constexpr (std::same_as<V, var<X>> && std::same_as<Observer, nn::no_observer>) {
          if (checkpoint) return nn::checkpointed(blocks[i], [run, batch](const auto& b, const auto& in) { return run(b, in, batch); }, x);
        } else {
          require(!checkpoint || !std::same_as<V, var<dual<X>>>, "decoder: checkpoint is for base losses; SSIUU needs what a block keeps");
        }
        return run(blocks[i], x, batch);
      });
    }
    return fewer && !blocks.empty() ? x : gather(x, batch.label_rows);
  }

  /// The normalised stream at the rows that predict a label, [labels, width].
  template <class Observer = nn::no_observer>
  V normalised_stream(const batch_type& batch, const Observer& observe = {}, key_value_cache<X>* past = nullptr) const {
    return final_norm(stream(batch, observe, past), static_cast<typename X::value_type>(config.norm_epsilon));
  }

  /// The logits of rows of the normalised stream, [rows, vocabulary].
  [[nodiscard]] V head_of(const V& x) const {
    return in_part(x, "the head", [&] { return linear(x, vocabulary()); });
  }

  /// Logits at the rows that predict a label, [labels, vocabulary].
  template <class Observer = nn::no_observer>
  V logits(const batch_type& batch, const Observer& observe = {}, key_value_cache<X>* past = nullptr) const {
    return head_of(normalised_stream(batch, observe, past));
  }

  /// Negative log-likelihood of every label, [labels].
  template <class Observer = nn::no_observer>
  V token_nll(const batch_type& batch, const Observer& observe = {}) const {
    require(label_smoothing >= 0 && label_smoothing < 1, "decoder: label_smoothing is ", label_smoothing, ", expected a number in [0, 1)");
    const V x = normalised_stream(batch, observe);
    return in_part(x, "the head", [&] {
      return linear_cross_entropy(x, vocabulary(), batch.labels, static_cast<typename X::value_type>(label_smoothing));
    });
  }

  /// Summed negative log-likelihood of each example's answer, [examples].
  template <class Observer = nn::no_observer>
  V nll(const batch_type& batch, const Observer& observe = {}) const {
    return segment_sum(token_nll(batch, observe), batch.label_offsets);
  }

  template <class U>
  [[nodiscard]] decoder<U> rebound() const {
    decoder<U> made;
    made.config = config;
    made.angles = angles;
    made.blocks.resize(blocks.size());
    made.label_smoothing = label_smoothing;
    made.checkpoint = checkpoint;
    made.share_beginnings = share_beginnings;
    return made;
  }

  template <class F, class M, class... R>
  static void visit(const nn::name_path& at, const F& f, M& m, R&... r) {
    const nn::name_path root = at / "model";
    f(root / "embed_tokens" / "weight", m.embedding, r.embedding...);
    if (!primal_of(m.positions).absent()) f(root / "embed_positions" / "weight", m.positions, r.positions...);
    const nn::name_path layers = root / "layers";
    for (std::size_t i = 0; i < m.blocks.size(); ++i)
      decoder_block<V>::visit(layers[static_cast<index_t>(i)], f, m.blocks[i], r.blocks[i]...);
    nn::norm_layer<V>::visit(root / "norm", f, m.final_norm, r.final_norm...);
    if (!primal_of(m.head).absent()) f(at / "lm_head" / "weight", m.head, r.head...);
  }

 private:
  [[nodiscard]] const V& vocabulary() const { return primal_of(head).absent() ? embedding : head; }
};

}  // namespace expunge::model
