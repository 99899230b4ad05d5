// A decoder with its tokenizer, from a Hugging Face folder or a GGUF file, and back into a folder.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/io/json.hpp"
#include "expunge/model/decoder_folder.hpp"
#include "expunge/model/decoder_gguf.hpp"
#include "expunge/text/tokenizer_gguf.hpp"
#include "expunge/text/tokenizer_json.hpp"
#include "expunge/text/tokenizer_json_writer.hpp"

namespace expunge::model {

/// What a folder may hold beside its weights, and a saved one then holds too.
inline constexpr std::array tokenizer_file_names{"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt",
                                                 "added_tokens.json", "generation_config.json", "chat_template.jinja"};

template <class X>
struct language_model {
  decoder<X> weights;
  text::tokenizer tokenizer;
  std::optional<std::int32_t> end_token{};
  std::map<std::string, std::string> tokenizer_files{};  // name -> content, written beside the weights
  std::string cannot_save{};                             // why its tokenizer has no such file, where that is so
};

namespace detail {

/// Also where the system does not say: opening the file then says why.
inline bool may_exist(const std::filesystem::path& path) {
  std::error_code unknown;
  return std::filesystem::exists(path, unknown) || unknown;
}

/// Whether `path` is a folder. Throws expunge::error where there is nothing.
inline bool is_model_folder(const std::filesystem::path& path) {
  require(may_exist(path), path, ": no such file or folder; give a Hugging Face folder or a .gguf file");
  std::error_code unknown;
  return std::filesystem::is_directory(path, unknown);
}

/// `id` where it is one of the vocabulary.
template <class X>
std::optional<std::int32_t> end_token(index_t id, const decoder<X>& weights) {
  return id >= 0 && id < weights.config.vocabulary ? std::optional(static_cast<std::int32_t>(id)) : std::nullopt;
}

/// A tokenizer_config.json for transformers: whose class takes tokenizer.json as it is, and what a chat template calls bos_token and eos_token.
inline std::string tokenizer_config(const io::gguf_metadata& meta, const std::vector<std::string>& tokens) {
  std::string out = R"({"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false)";
  for (const std::string name : {"bos_token", "eos_token"}) {
    const auto id = meta.get_or<index_t>("tokenizer.ggml." + name + "_id", -1);
    if (id >= 0 && id < std::ssize(tokens)) out += ", \"" + name + "\": " + io::json_string_of(tokens[static_cast<std::size_t>(id)]);
  }
  return out + "}\n";
}

template <class X>
language_model<X> load_gguf(const std::filesystem::path& path) {
  const io::gguf_file file(path);
  const auto& meta = file.metadata();
  const auto kind = meta.get<std::string>("tokenizer.ggml.model");
  require(kind == "gpt2", path, ": tokenizer '", kind, "' is not supported; gpt2 is: ", text::supported_kinds);
  const auto tokens = meta.get<std::vector<std::string>>("tokenizer.ggml.tokens");
  const auto merges = meta.get<std::vector<std::string>>("tokenizer.ggml.merges");
  const auto types = meta.get_or<std::vector<std::int32_t>>("tokenizer.ggml.token_type", {});
  const auto pre = meta.get_or<std::string>("tokenizer.ggml.pre", "gpt2");
  const text::special_frame frame = text::gguf_frame(meta, pre);
  auto tokenizer = with_file(path, [&] { return text::tokenizer_from_gguf(tokens, merges, types, pre, frame); });  // before the many weights
  language_model<X> out{load_decoder_gguf<X>(file), std::move(tokenizer)};
  if (meta.contains("tokenizer.ggml.eos_token_id")) out.end_token = end_token(meta.get<index_t>("tokenizer.ggml.eos_token_id"), out.weights);
  try {
    out.tokenizer_files["tokenizer.json"] = text::tokenizer_json_of_gguf(tokens, merges, types, pre, frame);
    out.tokenizer_files["tokenizer_config.json"] = tokenizer_config(meta, tokens);
    if (const char* chat = "tokenizer.chat_template"; meta.contains(chat)) out.tokenizer_files["chat_template.jinja"] = meta.get<std::string>(chat);
  } catch (const out_of_memory&) {
    throw;
  } catch (const error& e) {  // which only a saved model needs
    out.cannot_save = path.string() + ": " + e.what();
  }
  return out;
}

template <class X>
language_model<X> load_folder(const std::filesystem::path& folder) {
  const auto path = folder / "tokenizer.json";
  require(may_exist(path), path, ": no such file; the folder needs config.json, model.safetensors and tokenizer.json",
          may_exist(folder / "tokenizer.model") ? "; of tokenizers " + std::string(text::supported_kinds) : "");
  auto tokenizer = text::read_tokenizer_json(path);  // before the many weights
  language_model<X> out{load_decoder_folder<X>(folder), std::move(tokenizer)};
  for (const char* name : tokenizer_file_names)
    if (may_exist(folder / name)) out.tokenizer_files[name] = std::string(io::mapped_file(folder / name).text());
  const io::mapped_file file(folder / "config.json");
  const io::json config = io::parse_json(file.text(), folder / "config.json");
  std::string generation;  // what a saved config.json does not have
  for (const char* key : {"eos_token_id", "bos_token_id", "pad_token_id"})
    if (!config[key].is_null()) generation.append(generation.empty() ? "{\"" : ", \"").append(key).append("\": ").append(config[key].dump());
  if (!generation.empty()) out.tokenizer_files.emplace("generation_config.json", generation + "}\n");
  const io::json end = config["eos_token_id"];
  const auto ends = end.is_array() ? end.elements() : std::vector{end};  // Llama 3 lists several
  if (!ends.empty() && ends[0].is_integer()) out.end_token = end_token(ends[0].as<index_t>(), out.weights);
  return out;
}

}  // namespace detail

/// The numbers of a model without its weights. Throws expunge::error as load_language_model does.
inline decoder_config read_decoder_config(const std::filesystem::path& path) {
  return detail::is_model_folder(path) ? read_hf_config(path / "config.json") : read_gguf_config(io::gguf_file(path));
}

/// Reads a Hugging Face folder or a GGUF file. Throws expunge::error naming the file and what is wrong with it, also where
/// the tokenizer has ids that the model has no embedding for.
template <class X>
language_model<X> load_language_model(const std::filesystem::path& path) {
  language_model<X> out = [&] {
    try {
      return detail::is_model_folder(path) ? detail::load_folder<X>(path) : detail::load_gguf<X>(path);
    } catch (const std::bad_alloc&) {
      throw out_of_memory(path.string() + ": no memory is left to read it: use a smaller model, or a machine with more");
    }
  }();
  require(static_cast<index_t>(out.tokenizer.vocab_size()) <= out.weights.config.vocabulary, path, ": the tokenizer has ",
          out.tokenizer.vocab_size(), " ids, the model an embedding of ", out.weights.config.vocabulary);
  return out;
}

/// Writes a Hugging Face folder that transformers and load_language_model read. Throws expunge::error, also where a GGUF file's tokenizer
/// has what no tokenizer.json can hold.
template <class X>
void save_language_model(const language_model<X>& m, const std::filesystem::path& folder) {
  require(m.cannot_save.empty(), m.cannot_save);
  io::make_folder(folder);
  for (const auto& [name, content] : m.tokenizer_files) io::write_file_atomically(folder / name, content);
  save_decoder_folder(m.weights, folder, m.end_token);
}

}  // namespace expunge::model
