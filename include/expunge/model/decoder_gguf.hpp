// Decoders from GGUF files: llama, qwen2 and gpt2 architectures, dequantised while loading.
#pragma once

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "expunge/io/gguf.hpp"
#include "expunge/model/decoder_folder.hpp"

namespace expunge::model {

namespace detail {

/// GGUF keeps only the divisors that Llama 3's scaling gives; this finds the scaling again, or refuses.
inline rotary_scaling llama3_scaling(const io::gguf_file& file, decoder_config c) {
  require_extents(file.tensor("rope_freqs.weight").extents, shape{c.head_dim / 2}, file.path(), "rope_freqs.weight");
  std::vector<double> divisors(static_cast<std::size_t>(c.head_dim / 2));
  file.read_into("rope_freqs.weight", std::span<double>(divisors));
  const std::vector<double> plain = rotary_frequencies(c);
  c.scaling = {*std::max_element(divisors.begin(), divisors.end()), 1, 4, 8192};
  const std::vector<double> scaled = rotary_frequencies(c);
  for (std::size_t j = 0; j < plain.size(); ++j)
    require(std::abs(plain[j] / divisors[j] / scaled[j] - 1) < 1e-3, file.path(), ": 'rope_freqs.weight' is not Llama 3's scaling");
  return c.scaling;
}

}  // namespace detail

/// Throws expunge::error naming file and key.
inline decoder_config read_gguf_config(const io::gguf_file& file) {
  const auto& meta = file.metadata();
  const auto architecture = meta.get<std::string>("general.architecture");
  const auto key = [&](const char* name) { return architecture + "." + name; };
  decoder_config c;
  require(architecture == "llama" || architecture == "qwen2" || architecture == "gpt2", file.path(), ": architecture '", architecture,
          "' is not supported; supported are llama, qwen2 and gpt2");
  c.family = architecture == "llama" ? decoder_family::llama : architecture == "qwen2" ? decoder_family::qwen2 : decoder_family::gpt2;
  c.width = meta.get<std::int64_t>(key("embedding_length"));
  c.layers = meta.get<std::int64_t>(key("block_count"));
  c.heads = meta.get<std::int64_t>(key("attention.head_count"));
  c.kv_heads = meta.get_or<std::int64_t>(key("attention.head_count_kv"), c.heads);
  require(c.heads > 0, file.path(), ": ", key("attention.head_count"), " is ", c.heads);
  c.head_dim = meta.get_or<std::int64_t>(key("attention.key_length"), c.width / c.heads);
  c.ffn_width = meta.get<std::int64_t>(key("feed_forward_length"));
  c.context = meta.get<std::int64_t>(key("context_length"));
  c.norm_epsilon = c.family == decoder_family::gpt2 ? meta.get_or<double>(key("attention.layer_norm_epsilon"), 1e-5)
                                                    : meta.get<double>(key("attention.layer_norm_rms_epsilon"));
  c.rotary_base = meta.get_or<double>(key("rope.freq_base"), 10000);
  const std::string scaling = key("rope.scaling.type");
  require(meta.get_or<std::string>(scaling, "none") == "none", file.path(), ": ", scaling, " is not supported");
  for (const char* name : {"rope.scaling.factor", "rope.scale_linear"}) {  // which count where no type is given
    const double factor = meta.get_or<double>(key(name), 1);
    require(meta.contains(scaling) || factor == 0 || factor == 1, file.path(), ": ", key(name), " is ", factor, ", which is not supported");
  }
  const index_t turned = meta.get_or<std::int64_t>(key("rope.dimension_count"), c.head_dim);
  require(c.family == decoder_family::gpt2 || turned == c.head_dim, file.path(), ": ", key("rope.dimension_count"), " is ", turned,
          " of a head's ", c.head_dim, " dimensions, which is not supported");
  require(file.contains("token_embd.weight"), file.path(), ": no tensor 'token_embd.weight'");
  const auto& table = file.tensor("token_embd.weight");
  require(table.extents.size() == 2, file.path(), ": 'token_embd.weight' has ", table.extents.size(), " dimensions, expected 2");
  c.vocabulary = table.extents[0];
  c.tied = !file.contains("output.weight");
  c.check(file.path().string());
  if (c.family != decoder_family::gpt2 && file.contains("rope_freqs.weight")) {
    c.scaling = detail::llama3_scaling(file, c);
    c.check(file.path().string());
  }
  return c;
}

namespace detail {

/// GGUF's name of a parameter of ours.
inline std::string gguf_name(std::string name) {
  for (const auto& [from, to] : {std::pair<std::string_view, std::string_view>{"model.embed_tokens", "token_embd"},
                                 {"model.embed_positions", "position_embd"}, {"model.norm", "output_norm"}, {"lm_head", "output"},
                                 {"model.layers", "blk"}, {"post_attention_layernorm", "ffn_norm"}, {"input_layernorm", "attn_norm"},
                                 {"self_attn.q_proj", "attn_q"}, {"self_attn.k_proj", "attn_k"}, {"self_attn.v_proj", "attn_v"},
                                 {"self_attn.o_proj", "attn_output"}, {"mlp.gate_proj", "ffn_gate"}, {"mlp.up_proj", "ffn_up"},
                                 {"mlp.down_proj", "ffn_down"}})
    if (const auto at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
  return name;
}

/// llama.cpp stores q and k of the llama architecture with the two halves of a head interleaved; this undoes it.
template <class T>
std::vector<T> halves_from_interleaved(const std::vector<T>& stored, index_t heads, index_t dim, index_t cols) {
  std::vector<T> out(stored.size());
  for (index_t h = 0; h < heads; ++h)
    for (index_t j = 0; j < dim; ++j) {
      const index_t from = h * dim + j, to = h * dim + (j % 2) * (dim / 2) + j / 2;
      std::copy_n(stored.begin() + from * cols, cols, out.begin() + to * cols);
    }
  return out;
}

}  // namespace detail

/// Throws expunge::error naming file and tensor, also for a bias that the architecture, as it is supported, does not have; before memory is
/// taken, but for values that are not finite. Of tensors without elements the weights are not read.
template <class X>
decoder<X> load_decoder_gguf(const io::gguf_file& file) {
  using T = typename X::value_type;
  if constexpr (has_elements<X>) static_cast<void>(load_decoder_gguf<tensor<T, unmade_storage<T>>>(file));
  const decoder_config c = read_gguf_config(file);
  decoder<X> m = detail::with_file(file.path(), [&] { return empty_decoder<X>(c); });
  std::set<std::string> names_read;
  nn::for_each_parameter(
      [&](const nn::name_path& path, X& p) {
        const std::string ours = path.str();
        std::string name = detail::gguf_name(ours);
        const bool fused = c.family == decoder_family::gpt2 && ours.find("self_attn.") != std::string::npos && ours.find("o_proj") == std::string::npos;
        index_t parts = 1, part = 0;
        if (fused) {  // blk.0.attn_q.weight -> blk.0.attn_qkv.weight, a third of its rows
          const std::size_t at = name.find("attn_") + 5;
          parts = 3, part = name[at] == 'q' ? 0 : name[at] == 'k' ? 1 : 2;
          name.replace(at, 1, "qkv");
        }
        detail::require_extents(file.tensor(name).extents, p.extents().with_first(parts * p.extents()[0]), file.path(), name);
        names_read.insert(name);
        if constexpr (!has_elements<X>) return;
        std::vector<T> values(static_cast<std::size_t>(parts * p.size()));
        file.read_into(name, std::span<T>(values));
        detail::require_finite(values, file.path(), name);
        if (fused) values = {values.begin() + part * p.size(), values.begin() + (part + 1) * p.size()};
        const bool q = ours.find("q_proj") != std::string::npos, k = ours.find("k_proj") != std::string::npos;
        if (c.family == decoder_family::llama && (q || k))
          p.upload(detail::halves_from_interleaved(values, q ? c.heads : c.kv_heads, c.head_dim, p.cols()));
        else
          p.upload(values);
      },
      m);
  for (const io::gguf_tensor& t : file.tensors())
    require(!t.name.ends_with(".bias") || names_read.contains(t.name), file.path(), ": tensor '", t.name, "' has no place in the architecture '",
            file.metadata().get<std::string>("general.architecture"), "' as it is supported, and without it this would be another model; ",
            "use a model without this bias");
  return m;
}

}  // namespace expunge::model
