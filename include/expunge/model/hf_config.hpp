// config.json of Hugging Face, read into and written from a decoder_config.
#pragma once

#include <array>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "expunge/io/json.hpp"
#include "expunge/io/mapped_file.hpp"
#include "expunge/model/decoder_config.hpp"

namespace expunge::model {

namespace detail {

/// A value of a JSON object with the file and key in every complaint.
template <class T>
T json_value(const io::json& object, const char* key, const std::filesystem::path& file) {
  const io::json value = object[key];
  require(!value.is_null(), file, ": '", key, "' is missing");
  require(!std::same_as<T, index_t> || value.is_integer(), file, ": '", key, "' is ", value.dump(), ", not a whole number");
  try {
    return value.as<T>();
  } catch (const error& e) {
    fail(file, ": '", key, "': ", e.what());
  }
}
template <class T>
T json_value_or(const io::json& object, const char* key, T fallback, const std::filesystem::path& file) {
  return object[key].is_null() ? fallback : json_value<T>(object, key, file);
}

inline void read_rope_scaling(const io::json& json, decoder_config& c, const std::filesystem::path& file) {
  // Older files: rope_theta and rope_scaling; newer ones: rope_parameters with both.
  const auto theta = json_value_or<double>(json, "rope_theta", 10000, file);
  const auto read = [&](const char* key) -> std::optional<std::pair<double, rotary_scaling>> {
    const io::json r = json[key];
    require(r.is_null() || r.is_object(), file, ": '", key, "' is ", r.dump(), ", not an object");
    if (r.is_null() || r.size() == 0) return {};
    std::pair<double, rotary_scaling> out{json_value_or<double>(r, "rope_theta", theta, file), {}};
    const auto type = json_value_or<std::string>(r, "rope_type", json_value_or<std::string>(r, "type", "default", file), file);
    if (type == "default") return out;
    require(type == "llama3", file, ": rotary scaling '", type, "' is not supported; supported are default and llama3");
    const char* original = "original_max_position_embeddings";
    out.second = {json_value<double>(r, "factor", file), json_value<double>(r, "low_freq_factor", file),
                  json_value<double>(r, "high_freq_factor", file), json_value_or<double>(r, original, static_cast<double>(c.context), file)};
    require(json_value_or<double>(json, original, out.second.original_context, file) == out.second.original_context, file, ": '", original,
            "' is not what '", key, "' has, and versions of transformers disagree on which is meant: remove one");
    return out;
  };
  const auto older = read("rope_scaling"), newer = read("rope_parameters");
  require(!older || !newer || *older == *newer, file, ": 'rope_scaling' and 'rope_parameters' say different things: remove one");
  std::tie(c.rotary_base, c.scaling) = older ? *older : newer ? *newer : std::pair{theta, rotary_scaling{}};
}

}  // namespace detail

/// Throws expunge::error naming the file and key for what is missing, mistyped or not supported.
inline decoder_config read_hf_config(const std::filesystem::path& file) {
  using detail::json_value, detail::json_value_or;
  const io::mapped_file content(file);
  const auto json = io::parse_json(content.text(), file);
  require(json.is_object(), file, ": expected a JSON object");
  const auto type = json_value<std::string>(json, "model_type", file);
  decoder_config c;
  if (type == "gpt2") {
    c.family = decoder_family::gpt2;
    c.width = json_value<index_t>(json, "n_embd", file);
    c.layers = json_value<index_t>(json, "n_layer", file);
    c.heads = c.kv_heads = json_value<index_t>(json, "n_head", file);
    c.ffn_width = json_value_or<index_t>(json, "n_inner", static_cast<index_t>(4 * static_cast<std::size_t>(c.width)), file);  // check() refuses where it wraps
    c.context = json_value<index_t>(json, "n_positions", file);
    c.norm_epsilon = json_value_or<double>(json, "layer_norm_epsilon", 1e-5, file);
    require(c.heads > 0 && c.width % c.heads == 0, file, ": n_embd ", c.width, " is not a multiple of n_head ", c.heads);
    c.head_dim = c.width / c.heads;
    const auto activation = json_value_or<std::string>(json, "activation_function", "gelu_new", file);
    require(activation == "gelu_new" || activation == "gelu_pytorch_tanh", file, ": activation '", activation, "' is not supported for GPT-2");
    require(!json_value_or<bool>(json, "scale_attn_by_inverse_layer_idx", false, file), file,
            ": scale_attn_by_inverse_layer_idx is not supported");
    require(json_value_or<bool>(json, "scale_attn_weights", true, file), file, ": scale_attn_weights that is false is not supported");
  } else {
    require(type == "llama" || type == "qwen2", file, ": model_type '", type, "' is not supported; supported are llama, qwen2 and gpt2");
    c.family = type == "llama" ? decoder_family::llama : decoder_family::qwen2;
    c.width = json_value<index_t>(json, "hidden_size", file);
    c.layers = json_value<index_t>(json, "num_hidden_layers", file);
    c.heads = json_value<index_t>(json, "num_attention_heads", file);
    c.kv_heads = json_value_or<index_t>(json, "num_key_value_heads", c.heads, file);
    require(c.heads > 0, file, ": num_attention_heads is ", c.heads);
    c.head_dim = json_value_or<index_t>(json, "head_dim", c.width / c.heads, file);
    c.ffn_width = json_value<index_t>(json, "intermediate_size", file);
    c.context = json_value<index_t>(json, "max_position_embeddings", file);
    c.norm_epsilon = json_value_or<double>(json, "rms_norm_eps", 1e-6, file);
    detail::read_rope_scaling(json, c, file);
    const auto activation = json_value_or<std::string>(json, "hidden_act", "silu", file);
    require(activation == "silu", file, ": hidden_act '", activation, "' is not supported; supported is silu");
    for (const char* key : {"attention_bias", "mlp_bias"})
      require(!json_value_or<bool>(json, key, false, file), file, ": '", key, "' is not supported");
    const bool every_layer_sees_all = type == "qwen2" && json["layer_types"].is_null() &&
                                      json_value_or<index_t>(json, "max_window_layers", 28, file) >= c.layers;  // windows are of later layers
    require(every_layer_sees_all || !json_value_or<bool>(json, "use_sliding_window", false, file), file, ": sliding windows are not supported");
  }
  c.vocabulary = json_value<index_t>(json, "vocab_size", file);
  c.tied = json_value_or<bool>(json, "tie_word_embeddings", type == "gpt2", file);
  c.check(file.string());
  return c;
}

/// The text of a config.json that transformers reads.
inline std::string hf_config(const decoder_config& c, std::optional<std::int32_t> end_token = {}) {
  const bool gpt2 = c.family == decoder_family::gpt2;
  const bool qwen2 = c.family == decoder_family::qwen2;
  std::string out = "{";
  const auto add = [&](std::string_view key, const std::string& value) {
    out += (out.back() == '{' ? "\n  \"" : ",\n  \"") + std::string(key) + "\": " + value;
  };
  const auto text = [](std::string_view value) { return io::json_string_of(value); };
  const auto whole = [](index_t value) { return std::to_string(value); };
  const auto real = [](double value) {  // the shortest that gives it back
    std::array<char, 32> digits;
    const std::string shortest(digits.data(), std::to_chars(digits.begin(), digits.end(), value).ptr);
    return shortest.find_first_of(".e") == std::string::npos ? shortest + ".0" : shortest;
  };
  add("architectures", "[" + text(gpt2 ? "GPT2LMHeadModel" : qwen2 ? "Qwen2ForCausalLM" : "LlamaForCausalLM") + "]");
  add("model_type", text(gpt2 ? "gpt2" : qwen2 ? "qwen2" : "llama"));
  add("vocab_size", whole(c.vocabulary));
  add("tie_word_embeddings", c.tied ? "true" : "false");
  add("torch_dtype", text("float32"));
  // Where one of these is missing, transformers takes the token of its own model of the family.
  add("eos_token_id", end_token && *end_token >= 0 ? whole(*end_token) : "null");
  add("bos_token_id", "null");
  add(gpt2 ? "n_embd" : "hidden_size", whole(c.width));
  add(gpt2 ? "n_layer" : "num_hidden_layers", whole(c.layers));
  add(gpt2 ? "n_head" : "num_attention_heads", whole(c.heads));
  add(gpt2 ? "n_inner" : "intermediate_size", whole(c.ffn_width));
  add(gpt2 ? "n_positions" : "max_position_embeddings", whole(c.context));
  add(gpt2 ? "layer_norm_epsilon" : "rms_norm_eps", real(c.norm_epsilon));
  add(gpt2 ? "activation_function" : "hidden_act", text(gpt2 ? "gelu_new" : "silu"));
  if (!gpt2) {
    add("num_key_value_heads", whole(c.kv_heads));
    add("head_dim", whole(c.head_dim));
    add("rope_theta", real(c.rotary_base));
  }
  if (!gpt2 && c.scaling.factor != 1)
    add("rope_scaling", "{\"rope_type\": \"llama3\", \"factor\": " + real(c.scaling.factor) + ", \"low_freq_factor\": " +
                            real(c.scaling.low_frequency_factor) + ", \"high_freq_factor\": " + real(c.scaling.high_frequency_factor) +
                            ", \"original_max_position_embeddings\": " + whole(static_cast<index_t>(c.scaling.original_context)) + "}");
  return out + "\n}\n";
}

}  // namespace expunge::model
