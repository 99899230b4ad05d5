// A decoder with its tokenizer from a small GGUF file: the frame around a text, errors that name the file; paths that cannot be looked at.
#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <expunge/model/language_model.hpp>

#include "../address_space_limit.hpp"
#include "../io/gguf_bytes.hpp"
#include "../io/temporary_folder.hpp"

using namespace expunge;
using X = tensor<float>;
using list = std::vector<std::string>;

namespace {

std::string value_of(const std::string& text) { return bytes(8U) + text_bytes(text); }
std::string value_of(std::uint32_t number) { return bytes(4U) + bytes(number); }
std::string value_of(const list& texts) {
  std::string out = bytes(9U) + bytes(8U) + bytes<std::uint64_t>(texts.size());
  for (const std::string& text : texts) out += text_bytes(text);
  return out;
}

const list plain{"a", "b", "\u0120", "<|begin|>"};

/// A GGUF file of a Llama with one layer, whose tokenizer is as given and starts with the token 3; `values` are `count` more of metadata.
std::string gguf(const list& tokens, const list& merges, const std::string& pre, std::string values = {}, std::uint64_t count = 0) {
  const auto m = model::random_decoder<X>({.vocabulary = std::ssize(tokens), .width = 8, .layers = 1, .heads = 2, .kv_heads = 2, .head_dim = 4,
                                           .ffn_width = 8, .context = 16}, 1);
  const auto put = [&](const std::string& key, const auto& value) { values += text_bytes(key) + value_of(value), ++count; };
  put("general.architecture", std::string("llama"));
  for (const auto& [key, number] : {std::pair{"embedding_length", 8U}, {"block_count", 1U}, {"attention.head_count", 2U},
                                    {"feed_forward_length", 8U}, {"context_length", 16U}})
    put(std::string("llama.") + key, number);
  values += text_bytes("llama.attention.layer_norm_rms_epsilon") + bytes(6U) + bytes(1e-5F), ++count;
  put("tokenizer.ggml.model", std::string("gpt2"));
  put("tokenizer.ggml.pre", pre);
  put("tokenizer.ggml.tokens", tokens);
  put("tokenizer.ggml.merges", merges);
  put("tokenizer.ggml.bos_token_id", 3U);
  std::string entries, data;
  std::uint64_t tensors = 0;
  nn::for_each_parameter(
      [&](const nn::name_path& path, const X& p) {
        entries += text_bytes(model::detail::gguf_name(path.str())) + bytes(static_cast<std::uint32_t>(p.extents().rank()));
        if (p.extents().rank() == 2) entries += bytes<std::uint64_t>(static_cast<std::uint64_t>(p.cols()));
        entries += bytes<std::uint64_t>(static_cast<std::uint64_t>(p.extents()[0])) + bytes(0U) + bytes<std::uint64_t>(data.size());
        for (const float v : p.to_vector()) data += bytes(v);
        data = padded(std::move(data));
        ++tensors;
      },
      m);
  return padded(gguf_header(tensors, count) + values + entries) + data;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(language_models)

BOOST_AUTO_TEST_CASE(the_frame_of_a_gguf_file_is_kept_when_it_is_saved) {
  const temporary_folder folder;
  for (const std::string pre : {"llama-bpe", "smollm"}) {
    const auto m = model::load_language_model<X>(folder.write("some.gguf", gguf(plain, {}, pre)));
    const std::vector<std::int32_t> begin(pre == "llama-bpe" ? 1 : 0, 3);  // without add_bos_token, as in llama.cpp
    BOOST_TEST(m.tokenizer.frame().before == begin, boost::test_tools::per_element());
    model::save_language_model(m, folder.path() / "saved");
    BOOST_TEST(model::load_language_model<X>(folder.path() / "saved").tokenizer.frame().before == begin, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(all_ends_of_generation_are_kept) {
  const temporary_folder folder;
  const auto first = folder.path() / "first", second = folder.path() / "second";
  model::save_language_model(model::load_language_model<X>(folder.write("some.gguf", gguf(plain, {}, "smollm"))), first);
  std::string config(io::mapped_file(first / "config.json").text());
  const std::string none = "\"eos_token_id\": null";
  const auto at = config.find(none);
  BOOST_TEST_REQUIRE(at != std::string::npos);
  BOOST_TEST(!std::filesystem::exists(first / "generation_config.json"));
  BOOST_TEST(!model::load_language_model<X>(first).end_token.has_value());
  for (const char* beyond : {"4294967298", "-1", "5000"}) {
    io::write_file_atomically(first / "config.json", std::string(config).replace(at, none.size(), std::string("\"eos_token_id\": ") + beyond));
    BOOST_TEST(!model::load_language_model<X>(first).end_token.has_value());
  }
  io::write_file_atomically(first / "config.json", config.replace(at, none.size(), "\"eos_token_id\": [2, 3], \"pad_token_id\": 1"));
  model::save_language_model(model::load_language_model<X>(first), second);
  BOOST_TEST(model::load_language_model<X>(second).end_token.value() == 2);
  const io::json kept = io::parse_json(io::mapped_file(second / "generation_config.json").text(), "generation_config.json");
  BOOST_TEST(kept["eos_token_id"].elements()[1].as<index_t>() == 3);
  BOOST_TEST(kept["pad_token_id"].as<index_t>() == 1);
}

BOOST_AUTO_TEST_CASE(token_types_and_the_end_of_a_gguf_file_are_read_and_saved) {
  const temporary_folder folder;
  const std::string types = bytes(9U) + bytes(5U) + bytes(std::uint64_t{4}) + bytes(1) + bytes(1) + bytes(1) + bytes(3);
  const std::string more = text_bytes("tokenizer.ggml.token_type") + types + text_bytes("tokenizer.ggml.eos_token_id") + value_of(3U);
  auto m = model::load_language_model<X>(folder.write("some.gguf", gguf(plain, {}, "smollm", more, 2)));
  for (const int saved : {0, 1}) {
    BOOST_TEST(m.end_token.value() == 3, saved);
    BOOST_TEST(m.tokenizer.encode("a<|begin|>b") == (std::vector<std::int32_t>{0, 3, 1}), boost::test_tools::per_element());
    model::save_language_model(m, folder.path() / "saved");
    m = model::load_language_model<X>(folder.path() / "saved");
  }
}

BOOST_AUTO_TEST_CASE(the_chat_template_of_a_gguf_file_is_saved_with_the_tokens_that_it_names) {
  const temporary_folder folder;
  const auto first = folder.path() / "first", second = folder.path() / "second";
  const std::string chat = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}\n{% endfor %}";
  const std::string more = text_bytes("tokenizer.chat_template") + value_of(chat) + text_bytes("tokenizer.ggml.eos_token_id") + value_of(2U);
  model::save_language_model(model::load_language_model<X>(folder.write("some.gguf", gguf(plain, {}, "smollm", more, 2))), first);
  model::save_language_model(model::load_language_model<X>(first), second);
  for (const auto& saved : {first, second}) {
    BOOST_TEST(read_all(saved / "chat_template.jinja") == chat);
    const io::json config = io::parse_json(read_all(saved / "tokenizer_config.json"), "tokenizer_config.json");
    BOOST_TEST(config["bos_token"].as<std::string>() == "<|begin|>");
    BOOST_TEST(config["eos_token"].as<std::string>() == "\u0120");
  }
  model::save_language_model(model::load_language_model<X>(folder.write("some.gguf", gguf(plain, {}, "smollm"))), folder.path() / "third");
  BOOST_TEST(!std::filesystem::exists(folder.path() / "third" / "chat_template.jinja"));
  BOOST_TEST(io::parse_json(read_all(folder.path() / "third" / "tokenizer_config.json"), "tokenizer_config.json")["eos_token"].is_null());
}

BOOST_AUTO_TEST_CASE(the_tokenizer_is_looked_at_before_the_weights) {
  const temporary_folder folder;
  std::string content = gguf(plain, {"ab"}, "smollm");
  content.replace(content.find("blk.0.attn_q"), 12, "blk.9.attn_q");
  BOOST_CHECK_EXCEPTION(model::load_language_model<X>(folder.write("some.gguf", content)), error, message_contains("'ab'"));
  static_cast<void>(folder.write("tokenizer.model", ""));
  BOOST_CHECK_EXCEPTION(model::load_language_model<X>(folder.path()), error, message_contains("no such file"));
  BOOST_CHECK_EXCEPTION(model::load_language_model<X>(folder.path()), error, message_contains("SentencePiece as of Llama 1 and 2"));
  static_cast<void>(folder.write("tokenizer.json", R"({"decoder": {"type": "Sequence", "decoders": []}})"));
  BOOST_CHECK_EXCEPTION(model::load_language_model<X>(folder.path()), error, message_contains("decoder Sequence is not supported"));
  BOOST_CHECK_EXCEPTION(model::load_language_model<X>(folder.path()), error, message_contains("SentencePiece as of Llama 1 and 2"));
}

BOOST_AUTO_TEST_CASE(a_tokenizer_of_another_kind_is_refused_and_one_without_a_name_is_gpt2) {
  const temporary_folder folder;
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string content = gguf(plain, {}, "llama-bpe");
    content.replace(content.find(from), from.size(), to);
    return model::load_language_model<X>(folder.write("some.gguf", content));
  };
  BOOST_TEST(changed("tokenizer.ggml.pre", "tokenizer.ggml.xxx").tokenizer.frame().before.empty());
  BOOST_CHECK_EXCEPTION(changed("gpt2", "bert"), error, message_contains("tokenizer 'bert' is not supported"));
  BOOST_CHECK_EXCEPTION(changed("gpt2", "spm."), error, message_contains("SentencePiece"));
}

BOOST_AUTO_TEST_CASE(files_of_the_tokenizer_are_kept_as_they_are) {
  const temporary_folder folder;
  const auto first = folder.path() / "first", second = folder.path() / "second";
  auto m = model::load_language_model<X>(folder.write("some.gguf", gguf(plain, {}, "smollm")));
  m.end_token = 2;  // which config.json then holds
  model::save_language_model(m, first);
  const list names{"tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt", "added_tokens.json", "generation_config.json",
                   "chat_template.jinja"};
  for (const std::string& name : names) io::write_file_atomically(first / name, "content of " + name);
  model::save_language_model(model::load_language_model<X>(first), second);
  for (const std::string& name : names) BOOST_TEST(read_all(second / name) == "content of " + name);
}

BOOST_AUTO_TEST_CASE(ids_without_an_embedding_are_refused) {
  const temporary_folder folder;
  const auto m = model::load_language_model<X>(folder.write("some.gguf", gguf(plain, {}, "smollm")));
  model::save_language_model(m, folder.path());
  auto fewer = m.weights.config;
  fewer.vocabulary = 3;
  model::save_decoder_folder(model::random_decoder<X>(fewer, 1), folder.path());
  BOOST_CHECK_EXCEPTION(model::load_language_model<X>(folder.path()), error, message_contains("the tokenizer has 4 ids, the model an embedding of 3"));
}

BOOST_AUTO_TEST_CASE(errors_of_the_tokenizer_name_the_file) {
  const temporary_folder folder;
  const auto refused = [&](const list& tokens, const list& merges, const std::string& pre, const char* part) {
    const auto path = folder.write("some.gguf", gguf(tokens, merges, pre));
    BOOST_CHECK_EXCEPTION(model::load_language_model<X>(path), error, [&](const error& e) {
      BOOST_TEST_MESSAGE(e.what());
      return message_contains("some.gguf")(e) && message_contains(part)(e);
    });
  };
  refused(plain, {"ab"}, "smollm", "'ab'");
  refused(plain, {}, "unheard-of", "'unheard-of'");
  const auto m = model::load_language_model<X>(folder.write("some.gguf", gguf({"a", "b", "c\xFF", "d"}, {}, "smollm")));  // only saving needs UTF-8
  BOOST_CHECK_EXCEPTION(model::save_language_model(m, folder.path() / "saved"), error, [](const error& e) {
    return message_contains("some.gguf")(e) && message_contains("'c\uFFFD'")(e);
  });
  BOOST_TEST(!std::filesystem::exists(folder.path() / "saved"));
  BOOST_CHECK_EXCEPTION(model::detail::with_file("some.gguf", []() -> int { throw out_of_memory("no room"); }), out_of_memory,
                        message_contains("some.gguf"));
}

#ifdef EXPUNGE_TEST_ADDRESS_SPACE
BOOST_AUTO_TEST_CASE(a_file_that_memory_does_not_suffice_for_is_named) {
  const temporary_folder folder;
  constexpr std::uint64_t size = 1 << 24;  // bytes in the file, eight times as many in memory
  const std::string array = text_bytes("numbers") + bytes(9U) + bytes(0U) + bytes(size) + std::string(size, 'a');
  const auto path = folder.write("some.gguf", gguf(plain, {}, "smollm", array, 1));
  const testing::address_space_limit limit(std::size_t{1} << 26U);
  BOOST_CHECK_EXCEPTION(model::load_language_model<X>(path), out_of_memory, message_contains("some.gguf: no memory is left"));
}
#endif

BOOST_AUTO_TEST_CASE(what_the_system_does_not_tell_is_an_error_of_ours) {
  const temporary_folder folder;
  const auto loop = folder.path() / "loop", saved = folder.path() / "saved";
  std::filesystem::create_symlink("loop", loop);
  for (const auto& path : {loop, folder.path() / "missing", std::filesystem::path(std::string(5000, 'a'))}) {
    BOOST_CHECK_EXCEPTION(model::load_language_model<X>(path), error, message_contains(path.filename().string().substr(0, 9)));
    BOOST_CHECK_EXCEPTION(model::read_decoder_config(path), error, message_contains(path.filename().string().substr(0, 9)));
  }
  const auto m = model::load_language_model<X>(folder.write("some.gguf", gguf(plain, {}, "smollm")));
  BOOST_CHECK_EXCEPTION(model::save_language_model(m, loop), error, message_contains("loop"));
  for (const char* name : {"vocab.json", "tokenizer.json"}) {
    model::save_language_model(m, saved);
    std::filesystem::remove(saved / name);
    std::filesystem::create_symlink(name, saved / name);
    BOOST_CHECK_EXCEPTION(model::load_language_model<X>(saved), error, message_contains(name));
    std::filesystem::remove(saved / name);
  }
}

BOOST_AUTO_TEST_SUITE_END()
