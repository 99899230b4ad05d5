// The numbers that describe a transformer decoder.
#pragma once

#include <cmath>
#include <string>
#include <utility>

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
  index_t context = 0;     // most rows of a text, which may have one token more: its last is only a label
  double norm_epsilon = 1e-5;
  double rotary_base = 10000;
  rotary_scaling scaling{};
  bool tied = true;        // the head is the embedding

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
    require(std::isfinite(norm_epsilon) && norm_epsilon >= 0, source, ": norm_epsilon is ", norm_epsilon, ", expected a finite number >= 0");
    if (family == decoder_family::gpt2) return;  // no rotary angles
    require(std::isfinite(rotary_base) && rotary_base >= 1, source, ": rotary_base (rope_theta) is ", rotary_base, ", expected a finite number >= 1");
    if (scaling.factor == 1) return;
    const auto check_scaling = [&](const char* name, double value, bool good, const char* expected) {
      require(std::isfinite(value) && good, source, ": the rotary scaling's ", name, " is ", value, ", expected ", expected);
    };
    const auto& [factor, low, high, original] = scaling;
    check_scaling("factor", factor, factor >= 1, "a finite number >= 1");
    check_scaling("low_frequency_factor", low, low >= 0, "a finite number >= 0");
    check_scaling("high_frequency_factor", high, high > low, "a finite number above low_frequency_factor");
    check_scaling("original_context", original, original >= 1 && original < 2147483648.0, "a number from 1 to 2^31 - 1");
  }
};

}  // namespace expunge::model
