// What unlearning_step trains on, what a step costs in products, and what the device can do.
#pragma once

#include <expunge/core/random.hpp>
#include <expunge/data/encode.hpp>
#include <expunge/data/fact_file.hpp>
#include <expunge/model/language_model.hpp>
#include <expunge/tensor/math.hpp>

#include "../examples/device.hpp"
#include "peak.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace step_benchmark {

using namespace expunge;
using measured::median;

/// The whole of `text` as a number of at least `least`. Throws expunge::error that names `what`.
inline index_t number(const char* what, std::string_view text, index_t least) {
  index_t n = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), n);
  require(failure == std::errc{} && end == text.data() + text.size() && n >= least, what, " '", text, "': expected a whole number from ", least, " on");
  return n;
}

struct settings {
  std::string model, facts;
  std::size_t batch = 8;
  std::string device = "cpu";
  index_t length = 0;   // 0: an example is a fact; else so many tokens of the facts' text, all of them answer
  bool graphs = false;  // on a GPU
};

/// The forget and the retain batch, and the choices of the facts (2 x batch of each).
struct workload {
  std::vector<nn::token_sequence> forget, retain;
  std::vector<std::vector<nn::token_sequence>> choices;
};

inline std::vector<data::fact> facts_of(const settings& s) {
  auto facts = data::load_facts(s.facts);
  require(facts.size() >= 2 * s.batch, s.facts, ": ", facts.size(), " facts, the benchmark needs ", 2 * s.batch);
  return facts;
}

inline workload encode(const text::tokenizer& tokenizer, const settings& s) {
  workload w;
  const auto facts = facts_of(s);
  const std::size_t needed = 2 * s.batch;
  const data::prompt_template form;
  nn::token_sequence text;
  for (const data::fact& f : facts) {
    const auto choices = data::encode_choices(tokenizer, form, f);
    text.tokens.insert(text.tokens.end(), choices.front().tokens.begin(), choices.front().tokens.end());
    if (w.choices.size() < needed) w.choices.push_back(choices);
  }
  for (std::size_t i = 0; i < needed; ++i) {
    nn::token_sequence example = w.choices[i].front();
    if (s.length > 0) {
      example = {{}, 1};
      for (std::size_t j = 0; j < static_cast<std::size_t>(s.length); ++j)
        example.tokens.push_back(text.tokens[(i * static_cast<std::size_t>(s.length) + j) % text.tokens.size()]);
    }
    (i < s.batch ? w.forget : w.retain).push_back(std::move(example));
  }
  return w;
}

/// Multiplications and additions of the weight matrices' products in a forward pass (attention's own products are not counted).
inline double forward_operations(const model::decoder_config& c, const std::vector<nn::token_sequence>& examples) {
  double rows = 0, labels = 0;
  for (const nn::token_sequence& s : examples) {
    rows += static_cast<double>(std::ssize(s.tokens) - 1);
    labels += static_cast<double>(s.answer_length());
  }
  const index_t heads = (2 * c.heads + 2 * c.kv_heads) * c.head_dim;
  const index_t inner = (c.family == model::decoder_family::gpt2 ? 2 : 3) * c.ffn_width;
  return 2 * static_cast<double>(c.width) * (rows * static_cast<double>(c.layers * (heads + inner)) + labels * static_cast<double>(c.vocabulary));
}

/// A step in forward passes' worth of products over the forget and over the retain batch (docs/performance.md).
struct step_cost {
  double forget, retain;
};

/// Operations a second: of float multiply-adds on the host, of a large square product with the storage's own products on a device.
template <class X>
double measured_peak() {
  if constexpr (!program::on_cuda<X>) {
    return measured::multiply_add_rate();
  } else {
    const index_t n = 8192;
    std::vector<float> values(static_cast<std::size_t>(n * n));
    philox generator(1);  // with operands whose bits are all alike a chip draws less power and is faster than it will be at work
    for (float& v : values) v = static_cast<float>(uniform01(generator)) - 0.5F;
    const X operand(shape{n, n}, values);
    X product(shape{n, n});
    const auto seconds = [&](int count) {
      const auto begin = std::chrono::steady_clock::now();
      for (int i = 0; i < count; ++i) gemm(false, true, 1, operand, operand, 0, product);
      static_cast<void>(product.slice(0, 1).to_vector());  // waits
      return measured::seconds_since(begin);
    };
    seconds(2);
    const double size = static_cast<double>(n);
    return 2 * size * size * size * 5 / std::min({seconds(5), seconds(5), seconds(5)});
  }
}

/// Peak memory is from here on: what reading the model took is over. Where the system cannot, it stays that of the whole process.
inline void forget_peak() { std::ofstream("/proc/self/clear_refs") << 5; }

/// Bytes: of the process on the host, of tensors on a device.
template <class X>
double peak_memory() {
#ifdef EXPUNGE_WITH_CUDA
  if constexpr (program::on_cuda<X>) return static_cast<double>(cuda::peak_bytes());
#endif
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

}  // namespace step_benchmark
