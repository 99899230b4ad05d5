// Decoders from nothing: the structure with uninitialised or random parameters, and the table of rotary angles.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <numbers>
#include <vector>

#include "expunge/core/random.hpp"
#include "expunge/model/decoder.hpp"
#include "expunge/tensor/unmade_storage.hpp"

namespace expunge::model {

/// Whether tensors X have elements and not only a shape.
template <class X>
inline constexpr bool has_elements = !std::same_as<typename X::storage_type, unmade_storage<typename X::value_type>>;

/// Radians a position of each pair of components, [head_dim / 2].
inline std::vector<double> rotary_frequencies(const decoder_config& c) {
  std::vector<double> frequency;
  for (index_t j = 0; j < c.head_dim / 2; ++j) {
    double f = std::pow(c.rotary_base, -2.0 * static_cast<double>(j) / static_cast<double>(c.head_dim));
    if (c.scaling.factor != 1) {
      const double turns = c.scaling.original_context * f / (2 * std::numbers::pi);
      const double low = c.scaling.low_frequency_factor, high = c.scaling.high_frequency_factor;
      const double keep = turns < low ? 0 : turns > high ? 1 : (turns - low) / (high - low);
      f = (1 - keep) * f / c.scaling.factor + keep * f;
    }
    frequency.push_back(f);
  }
  return frequency;
}

/// Cosines and sines [context, head_dim / 2], computed in double; with Llama 3's scaling of low frequencies. Throws
/// expunge::out_of_memory before it computes any; of tensors without elements it computes none.
template <class X>
rotary_table<X> make_rotary_table(const decoder_config& c) {
  using T = typename X::value_type;
  const shape extents{c.context, c.head_dim / 2};
  const auto table = with_purpose([&] { return rotary_table<X>{X(extents), X(extents)}; }, "table of rotary angles");
  if constexpr (has_elements<X>) {
    constexpr index_t positions = 256;  // at a time
    const std::vector<double> frequency = rotary_frequencies(c);
    std::vector<T> cosines, sines;
    for (index_t begin = 0; begin < c.context; begin += positions) {
      const index_t end = std::min(c.context, begin + positions);
      cosines.clear();
      sines.clear();
      for (index_t p = begin; p < end; ++p)
        for (const double f : frequency) {
          cosines.push_back(static_cast<T>(std::cos(static_cast<double>(p) * f)));
          sines.push_back(static_cast<T>(std::sin(static_cast<double>(p) * f)));
        }
      table.cosines.slice(begin, end).upload(cosines);
      table.sines.slice(begin, end).upload(sines);
    }
  }
  return table;
}

/// The structure of `config` with uninitialised parameters. Throws expunge::error for a config that makes no model, and
/// expunge::out_of_memory.
template <class X>
decoder<X> empty_decoder(const decoder_config& c) {
  c.check("decoder");
  const bool gpt2 = c.family == decoder_family::gpt2;
  const auto matrix = [&](index_t out, index_t in, bool bias) {
    return nn::linear_layer<X>{X(shape{out, in}), bias ? X(shape{out}) : X{}};
  };
  const auto norm = [&] { return nn::norm_layer<X>{X(shape{c.width}), gpt2 ? X(shape{c.width}) : X{}}; };
  decoder<X> m;
  m.config = c;
  m.embedding = with_purpose([&] { return X(shape{c.vocabulary, c.width}); }, "embedding");
  if (gpt2) m.positions = X(shape{c.context, c.width});
  else m.angles = make_rotary_table<X>(c);
  const bool qkv_bias = c.family != decoder_family::llama;
  const auto block = [&] {
    decoder_block<X> b;
    b.attention_norm = norm();
    b.ffn_norm = norm();
    b.q = matrix(c.heads * c.head_dim, c.width, qkv_bias);
    b.k = matrix(c.kv_heads * c.head_dim, c.width, qkv_bias);
    b.v = matrix(c.kv_heads * c.head_dim, c.width, qkv_bias);
    b.o = matrix(c.width, c.heads * c.head_dim, gpt2);
    if (!gpt2) b.gate = matrix(c.ffn_width, c.width, false);
    b.up = matrix(c.ffn_width, c.width, gpt2);
    b.down = matrix(c.width, c.ffn_width, gpt2);
    return b;
  };
  for (index_t i = 0; i < c.layers; ++i) m.blocks.push_back(with_purpose(block, "weights of block ", i));
  m.final_norm = norm();
  if (!c.tied) m.head = with_purpose([&] { return X(shape{c.vocabulary, c.width}); }, "head");
  return m;
}

/// Normal weights of standard deviation 1/sqrt(inputs) (embeddings: `embedding_deviation`), unit norms, zero biases.
template <class X>
decoder<X> random_decoder(const decoder_config& config, std::uint64_t seed, double embedding_deviation = 0.02) {
  using T = typename X::value_type;
  decoder<X> m = empty_decoder<X>(config);
  std::uint64_t stream = 0;
  nn::for_each_parameter(
      [&](const nn::name_path& name, X& p) {
        const bool table = name.parent != nullptr && (name.parent->part == "embed_tokens" || name.parent->part == "embed_positions");
        const double deviation = table ? embedding_deviation : 1 / std::sqrt(static_cast<double>(p.cols()));
        philox generator(seed, stream++);
        std::vector<T> values(static_cast<std::size_t>(p.size()));
        for (T& value : values)
          value = p.extents().rank() == 2 ? static_cast<T>(deviation * standard_normal(generator)) : T(name.part == "weight" ? 1 : 0);
        p.upload(values);
      },
      m);
  return m;
}

}  // namespace expunge::model
