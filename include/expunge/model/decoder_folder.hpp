// Decoders from and to Hugging Face folders: config.json and model.safetensors (whole or in shards).
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "expunge/io/safetensors_folder.hpp"
#include "expunge/io/safetensors_writer.hpp"
#include "expunge/model/decoder_init.hpp"
#include "expunge/model/hf_config.hpp"
#include "expunge/model/parameter_file.hpp"

namespace expunge::model {

namespace detail {

/// Calls f; an error of it begins with `file`.
template <class F>
auto with_file(const std::filesystem::path& file, const F& f) {
  try {
    return f();
  } catch (const out_of_memory& e) {
    throw out_of_memory(file.string() + ": " + e.what());
  } catch (const error& e) {
    fail(file, ": ", e.what());
  }
}

/// Where GPT-2's file keeps a parameter of ours.
struct gpt2_place {
  std::string name;        // without the prefix "transformer."
  bool transposed = false;  // stored [in, out]
  index_t part = -1;       // of the columns of c_attn: 0 q, 1 k, 2 v; -1: all
};

inline gpt2_place gpt2_place_of(std::string name) {
  const auto replace = [&](std::string_view from, std::string_view to) {
    const auto at = name.find(from);
    if (at != std::string::npos) name.replace(at, from.size(), to);
    return at != std::string::npos;
  };
  gpt2_place place;
  replace("model.embed_tokens", "wte");
  replace("model.embed_positions", "wpe");
  replace("model.norm", "ln_f");
  replace("model.layers.", "h.");
  replace("input_layernorm", "ln_1");
  replace("post_attention_layernorm", "ln_2");
  if (replace("self_attn.q_proj", "attn.c_attn")) place.part = 0;
  else if (replace("self_attn.k_proj", "attn.c_attn")) place.part = 1;
  else if (replace("self_attn.v_proj", "attn.c_attn")) place.part = 2;
  const bool projection = replace("self_attn.o_proj", "attn.c_proj") || replace("mlp.up_proj", "mlp.c_fc") || replace("mlp.down_proj", "mlp.c_proj");
  place.transposed = name.ends_with(".weight") && (place.part >= 0 || projection);
  place.name = name;
  return place;
}

inline void require_extents(std::span<const index_t> found, const shape& expected, const std::filesystem::path& file, const std::string& name) {
  require(found.size() == expected.rank() && std::equal(found.begin(), found.end(), expected.begin()), file, ": tensor '", name,
          "' has shape ", io::to_string(found), ", the config asks for ", expected);
}

template <class X>
decoder<X> decoder_from(const decoder_config& config, const std::filesystem::path& folder, const io::safetensors_folder& file) {
  using T = typename X::value_type;
  const bool gpt2 = config.family == decoder_family::gpt2;
  const std::string prefix = gpt2 && file.contains("transformer.wte.weight") ? "transformer." : "";
  decoder<X> m = with_file(folder / "config.json", [&] { return empty_decoder<X>(config); });
  nn::for_each_parameter(
      [&](const nn::name_path& path, X& p) {
        const std::string ours = path.str();
        const gpt2_place place = gpt2 ? gpt2_place_of(ours) : gpt2_place{ours};
        const std::string name = (ours == "lm_head.weight" ? "" : prefix) + place.name;
        const auto& entry = file.tensor(name);
        require(io::is_floating(entry.type), folder, ": tensor '", name,
                "' holds whole numbers: the model is quantised and its scales are not read; use the model that is not");
        const index_t parts = place.part >= 0 ? 3 : 1, part = std::max<index_t>(place.part, 0);
        const index_t rows = p.extents().rank() == 1 ? 1 : p.rows(), cols = p.cols();
        require_extents(entry.extents, p.extents().rank() == 1 ? shape{parts * cols} : place.transposed ? shape{cols, parts * rows} : p.extents(),
                        folder, name);
        if constexpr (!has_elements<X>) return;
        std::vector<T> stored(static_cast<std::size_t>(p.size() * parts));
        file.read_into(name, std::span<T>(stored));
        require_finite(stored, folder, name);
        if (!place.transposed && parts == 1) {
          p.upload(stored);
          return;
        }
        std::vector<T> values(static_cast<std::size_t>(p.size()));
        for (index_t r = 0; r < rows; ++r)
          for (index_t c = 0; c < cols; ++c)
            values[static_cast<std::size_t>(r * cols + c)] = stored[static_cast<std::size_t>(
                place.transposed ? c * parts * rows + part * rows + r : part * cols + c)];
        p.upload(values);
      },
      m);
  if (config.tied && file.contains("lm_head.weight")) {  // versions of transformers disagree on which is meant where they differ
    require_extents(file.tensor("lm_head.weight").extents, m.embedding.extents(), folder, "lm_head.weight");
    if constexpr (!has_elements<X>) return m;
    std::vector<T> head(static_cast<std::size_t>(m.embedding.size()));
    file.read_into("lm_head.weight", std::span<T>(head));
    require(head == m.embedding.to_vector(), folder, ": 'lm_head.weight' is not the embedding, and config.json ties them: write ",
            "\"tie_word_embeddings\": false there");
  }
  return m;
}

}  // namespace detail

/// Reads a folder. Throws expunge::error naming file and tensor for what is missing, of another shape, quantised or not finite; the first two
/// before memory is taken. Of tensors without elements the weights are not read.
template <class X>
decoder<X> load_decoder_folder(const std::filesystem::path& folder) {
  using T = typename X::value_type;
  const decoder_config config = read_hf_config(folder / "config.json");
  const io::safetensors_folder file(folder);
  if constexpr (has_elements<X>) static_cast<void>(detail::decoder_from<tensor<T, unmade_storage<T>>>(config, folder, file));
  return detail::decoder_from<X>(config, folder, file);
}

/// Writes config.json and model.safetensors (float32) into `folder`, which is made if need be; each file whole or not at all.
template <class X>
void save_decoder_folder(const decoder<X>& m, const std::filesystem::path& folder, std::optional<std::int32_t> end_token = {}) {
  io::make_folder(folder);
  const bool gpt2 = m.config.family == decoder_family::gpt2;
  struct source {
    X tensor;
    detail::gpt2_place place;
  };
  std::map<std::string, std::vector<source>> sources;
  nn::for_each_parameter(
      [&](const nn::name_path& path, const X& p) {
        const std::string ours = path.str();
        const auto place = gpt2 ? detail::gpt2_place_of(ours) : detail::gpt2_place{ours};
        sources[(gpt2 && ours != "lm_head.weight" ? "transformer." : "") + place.name].push_back({p, place});
      },
      m);
  std::vector<io::tensor_entry> entries;
  for (const auto& [name, parts] : sources) {
    const auto count = static_cast<index_t>(parts.size());
    const X& first = parts[0].tensor;
    std::vector<index_t> extents(first.extents().begin(), first.extents().end());
    if (parts[0].place.transposed) extents = {first.cols(), count * first.rows()};
    else extents[0] *= count;
    entries.push_back({name, io::dtype::f32, extents, {}});
  }
  std::vector<float> buffer;
  io::write_safetensors(folder / "model.safetensors", entries, {{"format", "pt"}}, [&](const io::tensor_entry& entry) {
    const auto& parts = sources.at(entry.name);
    buffer.assign(static_cast<std::size_t>(*io::element_count(entry.extents)), 0);
    for (std::size_t part = 0; part < parts.size(); ++part) {
      const auto values = parts[part].tensor.to_vector();
      const index_t rows = parts[part].tensor.extents().rank() == 1 ? 1 : parts[part].tensor.rows(), cols = parts[part].tensor.cols();
      for (index_t r = 0; r < rows; ++r)
        for (index_t c = 0; c < cols; ++c) {
          const index_t at = parts[part].place.transposed ? c * std::ssize(parts) * rows + static_cast<index_t>(part) * rows + r
                                                          : (static_cast<index_t>(part) * rows + r) * cols + c;
          buffer[static_cast<std::size_t>(at)] = static_cast<float>(values[static_cast<std::size_t>(r * cols + c)]);
        }
    }
    return std::as_bytes(std::span<const float>(buffer));
  });
  io::write_file_atomically(folder / "config.json", hf_config(m.config, end_token));
}

}  // namespace expunge::model
