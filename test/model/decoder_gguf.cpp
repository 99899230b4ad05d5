// Decoders from small GGUF files that are written here: what is read, and what is refused.
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <cstdint>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <expunge/model/decoder_gguf.hpp>

#include "../address_space_limit.hpp"
#include "../io/gguf_bytes.hpp"
#include "../io/temporary_folder.hpp"

using namespace expunge;
using X = tensor<float>;

namespace {

constexpr std::uint64_t width = 16, vocabulary = 12;

/// A model of one block, all of whose weights are 1/4 and biases 1/2.
struct gguf_content {
  std::string architecture;
  std::vector<std::pair<std::string, std::vector<std::uint64_t>>> tensors;  // innermost extent first
  std::map<std::string, float> reals{};                                     // metadata
  std::map<std::string, std::uint32_t> wholes{};
  std::map<std::string, std::vector<float>> values{};                       // of tensors that have others
  std::map<std::string, std::string> texts{};                               // metadata

  [[nodiscard]] std::string file() const {
    std::string keys = text_bytes("general.architecture") + bytes(std::uint32_t{8}) + text_bytes(architecture);
    std::map<std::string, std::uint32_t> numbers{{"embedding_length", width}, {"block_count", 1}, {"attention.head_count", 2},
                                                 {"feed_forward_length", width}, {"context_length", 32}};
    for (const auto& [key, value] : wholes) numbers[key] = value;
    for (const auto& [key, value] : numbers) keys += text_bytes(architecture + "." + key) + bytes(std::uint32_t{4}) + bytes(value);
    for (const auto& [key, value] : reals) keys += text_bytes(architecture + "." + key) + bytes(std::uint32_t{6}) + bytes(value);
    for (const auto& [key, value] : texts) keys += text_bytes(architecture + "." + key) + bytes(std::uint32_t{8}) + text_bytes(value);
    std::string list, data;
    for (const auto& [name, extents] : tensors) {
      list += text_bytes(name) + bytes(static_cast<std::uint32_t>(extents.size()));
      std::uint64_t size = 1;
      for (const std::uint64_t extent : extents) list += bytes(extent), size *= extent;
      list += bytes(std::uint32_t{0}) + bytes(std::uint64_t{data.size()});
      const auto own = values.find(name);
      for (const float v : own != values.end() ? own->second : std::vector<float>(size, name.ends_with(".bias") ? 0.5F : 0.25F)) data += bytes(v);
      data = padded(std::move(data));
    }
    const std::uint64_t key_count = 1 + numbers.size() + reals.size() + texts.size();
    return padded(gguf_header(tensors.size(), key_count) + keys + list) + data;
  }
};

gguf_content llama() {
  gguf_content out{"llama", {{"token_embd.weight", {width, vocabulary}}}, {{"attention.layer_norm_rms_epsilon", 1e-5F}}};
  for (const char* name : {"attn_norm", "ffn_norm"}) out.tensors.push_back({std::string("blk.0.") + name + ".weight", {width}});
  for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"})
    out.tensors.push_back({std::string("blk.0.") + name + ".weight", {width, width}});
  out.tensors.push_back({"output_norm.weight", {width}});
  return out;
}

gguf_content qwen2() {
  gguf_content out = llama();
  out.architecture = "qwen2";
  for (const char* name : {"attn_q", "attn_k", "attn_v"}) out.tensors.push_back({std::string("blk.0.") + name + ".bias", {width}});
  return out;
}

gguf_content gpt2() {
  gguf_content out{"gpt2", {{"token_embd.weight", {width, vocabulary}}, {"position_embd.weight", {width, 32}}}};
  const auto add = [&](const std::string& name, const std::vector<std::uint64_t>& extents) {
    out.tensors.push_back({name + ".weight", extents});
    out.tensors.push_back({name + ".bias", {extents.back()}});
  };
  for (const char* name : {"blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"}) add(name, {width});
  for (const char* name : {"attn_output", "ffn_up", "ffn_down"}) add(std::string("blk.0.") + name, {width, width});
  add("blk.0.attn_qkv", {width, 3 * width});
  return out;
}

/// The same with numbers of its own in every tensor.
gguf_content numbered(gguf_content content) {
  float next = 1;
  for (const auto& [name, extents] : content.tensors) {
    auto& own = content.values[name];
    own.resize(extents[0] * (extents.size() > 1 ? extents[1] : 1));
    std::iota(own.begin(), own.end(), next);
    next += static_cast<float>(own.size());
  }
  return content;
}

model::decoder<X> loaded(const gguf_content& content) {
  const temporary_folder folder;
  return model::load_decoder_gguf<X>(io::gguf_file(folder.write("written.gguf", content.file())));
}

void refused(const gguf_content& content, const std::vector<std::string>& expected) {
  BOOST_CHECK_EXCEPTION(static_cast<void>(loaded(content)), error, [&](const error& e) {
    bool found = true;
    for (const std::string& part : expected) found = std::string(e.what()).find(part) != std::string::npos && found;
    BOOST_TEST_MESSAGE(e.what());
    return found;
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(decoder_gguf)

BOOST_AUTO_TEST_CASE(every_architecture_is_read) {
  BOOST_TEST(loaded(llama()).blocks[0].q.bias.absent());
  const auto qwen = loaded(qwen2()), gpt = loaded(gpt2());
  BOOST_TEST((qwen.blocks[0].k.bias.to_vector() == std::vector<float>(width, 0.5F)));
  for (const X& bias : {gpt.blocks[0].v.bias, gpt.blocks[0].down.bias, gpt.final_norm.bias})
    BOOST_TEST((bias.to_vector() == std::vector<float>(width, 0.5F)));
}

BOOST_AUTO_TEST_CASE(every_tensor_has_its_place) {
  const auto rows_of = [](const gguf_content& content, const std::string& name, const std::vector<std::size_t>& rows) {
    const auto& all = content.values.at("blk.0." + name);
    const std::size_t cols = name.ends_with(".bias") ? 1 : width;
    std::vector<float> out;
    for (const std::size_t row : rows)
      for (std::size_t col = 0; col < cols; ++col) out.push_back(all.at(row * cols + col));
    return out;
  };
  const auto range = [](std::size_t begin, std::size_t count) {
    std::vector<std::size_t> out(count);
    std::iota(out.begin(), out.end(), begin);
    return out;
  };
  const auto places = [](const gguf_content& content, const model::decoder<X>& m) {
    const auto& b = m.blocks[0];
    for (const auto& [p, name] : {std::pair{m.embedding, "token_embd"}, {m.final_norm.weight, "output_norm"}, {b.attention_norm.weight, "blk.0.attn_norm"},
                                  {b.ffn_norm.weight, "blk.0.ffn_norm"}, {b.o.weight, "blk.0.attn_output"}, {b.up.weight, "blk.0.ffn_up"},
                                  {b.down.weight, "blk.0.ffn_down"}})
      BOOST_TEST((p.to_vector() == content.values.at(std::string(name) + ".weight")), name);
  };

  gguf_content content = llama();  // with two heads of 4, one for keys and values, and an output of its own
  content.wholes = {{"attention.head_count_kv", 1}, {"attention.key_length", 4}};
  content.reals = {{"attention.layer_norm_rms_epsilon", 0.25F}};
  content.tensors.push_back({"output.weight", {width, vocabulary}});
  for (auto& [name, extents] : content.tensors) {
    if (name == "blk.0.attn_q.weight") extents[1] = 8;
    if (name == "blk.0.attn_k.weight" || name == "blk.0.attn_v.weight") extents[1] = 4;
    if (name == "blk.0.attn_output.weight") extents[0] = 8;
  }
  content = numbered(content);
  const auto some = loaded(content);
  BOOST_TEST((some.config.norm_epsilon == 0.25 && some.config.rotary_base == 10000));
  places(content, some);
  BOOST_TEST_REQUIRE(!some.head.absent());
  BOOST_TEST((some.head.to_vector() == content.values.at("output.weight")));
  BOOST_TEST((some.blocks[0].gate.weight.to_vector() == content.values.at("blk.0.ffn_gate.weight")));
  BOOST_TEST((some.blocks[0].q.weight.to_vector() == rows_of(content, "attn_q.weight", {0, 2, 1, 3, 4, 6, 5, 7})));  // halves, not interleaved
  BOOST_TEST((some.blocks[0].k.weight.to_vector() == rows_of(content, "attn_k.weight", {0, 2, 1, 3})));
  BOOST_TEST((some.blocks[0].v.weight.to_vector() == rows_of(content, "attn_v.weight", range(0, 4))));

  const gguf_content of_qwen = numbered(qwen2());
  gguf_content of_gpt = numbered(gpt2());
  BOOST_TEST(loaded(of_gpt).config.norm_epsilon == 1e-5);
  of_gpt.reals["attention.layer_norm_epsilon"] = 0.25F;
  const auto qwen = loaded(of_qwen), gpt = loaded(of_gpt);
  places(of_qwen, qwen);
  places(of_gpt, gpt);
  BOOST_TEST(gpt.config.norm_epsilon == 0.25);
  BOOST_TEST((gpt.positions.to_vector() == of_gpt.values.at("position_embd.weight")));
  for (std::size_t part = 0; part < 3; ++part) {
    const auto layer = [&](const auto& m) { return part == 0 ? m.blocks[0].q : part == 1 ? m.blocks[0].k : m.blocks[0].v; };
    const std::string name = std::string("attn_") + "qkv"[part];
    for (const std::string kind : {".weight", ".bias"}) {
      const auto of = [&](const auto& l) { return (kind == ".bias" ? l.bias : l.weight).to_vector(); };
      BOOST_TEST((of(layer(qwen)) == rows_of(of_qwen, name + kind, range(0, width))));  // as they are in the file
      BOOST_TEST((of(layer(gpt)) == rows_of(of_gpt, "attn_qkv" + kind, range(part * width, width))));
    }
  }
}

BOOST_AUTO_TEST_CASE(biases_without_a_place_are_refused) {
  for (const char* name : {"blk.0.attn_q.bias", "blk.0.attn_output.bias", "blk.0.ffn_down.bias"}) {
    gguf_content content = llama();
    content.tensors.push_back({name, {width}});
    refused(content, {"written.gguf", name, "'llama'"});
  }
  gguf_content content = qwen2();
  content.tensors.push_back({"blk.0.attn_output.bias", {width}});
  refused(content, {"written.gguf", "blk.0.attn_output.bias", "'qwen2'"});
}

BOOST_AUTO_TEST_CASE(numbers_that_make_no_model_are_refused) {
  gguf_content content = llama();
  content.reals["rope.freq_base"] = 0;
  refused(content, {"written.gguf", "rotary_base"});
  content.reals = {{"attention.layer_norm_rms_epsilon", NAN}};
  refused(content, {"written.gguf", "norm_epsilon"});
  content = llama();
  content.wholes["attention.head_count"] = 0;
  refused(content, {"written.gguf", "attention.head_count is 0"});
  content = llama();
  content.tensors[0].second = {0, 1 << 24};  // no bytes of the file, and a gigabyte of the model, which is not taken
  {
#ifdef EXPUNGE_TEST_ADDRESS_SPACE
    const testing::address_space_limit limit(std::size_t{1} << 26U);
#endif
    refused(content, {"written.gguf", "'token_embd.weight' has shape [16777216, 0]"});
  }
  content.architecture = "falcon";
  refused(content, {"written.gguf", "'falcon'"});
  content = numbered(llama());
  content.values["blk.0.ffn_up.weight"][3] = NAN;
  refused(content, {"written.gguf", "'blk.0.ffn_up.weight' holds a value that is not finite"});
}

BOOST_AUTO_TEST_CASE(other_rotary_angles_are_refused) {
  for (const char* key : {"rope.scaling.factor", "rope.scale_linear"}) {
    gguf_content content = llama();
    content.reals[key] = 1;
    BOOST_CHECK_NO_THROW(loaded(content));
    content.reals[key] = 4;
    refused(content, {"written.gguf", key});
  }
  gguf_content content = llama();  // two heads of 8
  content.texts["rope.scaling.type"] = "none";
  content.reals["rope.scaling.factor"] = 4;  // which then does not count
  BOOST_CHECK_NO_THROW(loaded(content));
  content.texts["rope.scaling.type"] = "yarn";
  refused(content, {"written.gguf", "rope.scaling.type"});
  content = llama();
  content.wholes["rope.dimension_count"] = 8;
  BOOST_CHECK_NO_THROW(loaded(content));
  content.wholes["rope.dimension_count"] = 4;
  refused(content, {"written.gguf", "rope.dimension_count"});
}

BOOST_AUTO_TEST_CASE(scaled_rotary_frequencies_are_found_again) {
  gguf_content content = llama();  // two heads of 8
  content.tensors.push_back({"rope_freqs.weight", {4}});
  content.values["rope_freqs.weight"] = {1, 1, 8, 8};
  content.reals["rope.freq_base"] = 5e6F;  // so that frequencies are kept or divided whole
  BOOST_TEST(loaded(content).config.scaling.factor == 8);
  content.values["rope_freqs.weight"] = {1, 8, 1, 8};
  refused(content, {"written.gguf", "rope_freqs.weight"});
  gguf_content of_one = gpt2();  // which has no angles, in heads of one
  of_one.wholes["attention.head_count"] = width;
  of_one.tensors.push_back({"rope_freqs.weight", {0}});
  BOOST_CHECK_NO_THROW(loaded(of_one));
  content.tensors.back().second = {8};
  content.values.clear();
  refused(content, {"written.gguf", "'rope_freqs.weight' has shape"});
}

BOOST_AUTO_TEST_SUITE_END()
