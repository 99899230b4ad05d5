// The numbers that describe a transformer decoder.
#pragma once

#include <string>

#include "expunge/core/error.hpp"
#include "expunge/core/shape.hpp"

namespace expunge::model {

enum class decoder_family { llama, qwen2, gpt2 };

/// Llama 3's stretching of the rotary frequencies to longer contexts; factor 1 does nothing.
struct rotary_scaling {
  double factor = 1;
  double low_frequency_factor = 1;
  double high_frequency_factor = 4;
  double original_context = 8192;

  friend bool operator==(const rotary_scaling&, const rotary_scaling&) = default;
};

struct decoder_config {
  decoder_family family = decoder_family::llama;
  index_t vocabulary = 0;  // rows of the embedding
  index_t width = 0;       // of the residual stream
  index_t layers = 0;
  index_t heads = 0;
  index_t kv_heads = 0;    // divides heads
  index_t head_dim = 0;
  index_t ffn_width = 0;
  index_t context = 0;     // longest sequence, in tokens
  double norm_epsilon = 1e-5;
  double rotary_base = 10000;
  rotary_scaling scaling{};
  bool tied = true;        // the head is the embedding
  bool qkv_bias = false;   // Qwen2

  /// Throws expunge::error, naming `source`, where the numbers do not make a model.
  void check(const std::string& source) const {
    for (const auto& [name, value] : {std::pair{"vocabulary", vocabulary}, {"width", width}, {"layers", layers}, {"heads", heads},
                                      {"kv_heads", kv_heads}, {"head_dim", head_dim}, {"ffn_width", ffn_width}, {"context", context}})
      require(value > 0 && value < index_t{1} << 31, source, ": ", name, " is ", value, ", expected a number from 1 to 2^31 - 1");
    require(layers <= 4096, source, ": ", layers, " layers are more than the 4096 that are supported");
    require(heads % kv_heads == 0, source, ": ", heads, " heads are not a multiple of ", kv_heads, " key-value heads");
    require(family == decoder_family::gpt2 || head_dim % 2 == 0, source, ": head_dim ", head_dim, " is odd");
    require(family != decoder_family::gpt2 || (heads == kv_heads && heads * head_dim == width), source,
            ": GPT-2 needs heads * head_dim == width");
  }
};

}  // namespace expunge::model
