// Decoders of every family against transformers: logits, gradients, files of all kinds; what we save we and others read.
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <string>

#include <expunge/model/decoder_folder.hpp>

#include "../io/temporary_folder.hpp"
#include "../tensor/watched_storage.hpp"

using namespace expunge;
using X = tensor<double>;
namespace fs = std::filesystem;

namespace {

const fs::path golden_folder = fs::path(EXPUNGE_SOURCE_DIR) / "test/golden/models";

std::vector<double> values(const io::safetensors_file& file, const std::string& name) {
  std::vector<double> out(static_cast<std::size_t>(*io::element_count(file.tensor(name).extents)));
  file.read_into(name, std::span(out));
  return out;
}

double worst(const std::vector<double>& a, const std::vector<double>& b) {
  BOOST_REQUIRE(a.size() == b.size());
  double out = 0;
  for (std::size_t i = 0; i < a.size(); ++i) out = std::max(out, std::abs(a[i] - b[i]));
  return out;
}

std::vector<std::int32_t> tokens_of(const io::safetensors_file& golden) {
  const auto& t = golden.tensor("tokens");
  const auto* begin = reinterpret_cast<const std::int32_t*>(t.bytes.data());
  return {begin, begin + t.bytes.size() / 4};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(decoder_folders)

BOOST_AUTO_TEST_CASE(logits_and_gradients_agree_with_transformers) {
  for (const std::string name : {"llama", "llama3_tied", "qwen2", "gpt2", "sharded", "bf16"}) {
    BOOST_TEST_CONTEXT(name) {
      const auto m = model::load_decoder_folder<X>(golden_folder / name);
      const io::safetensors_file golden(golden_folder / name / "golden.safetensors");
      const auto tokens = tokens_of(golden);
      const nn::token_sequence all{tokens, 1};
      const auto logits = m.logits(m.make_batch(std::array{&all})).to_vector();
      auto expected = values(golden, "logits");
      expected.resize(logits.size());  // our last row predicts the last token
      BOOST_TEST(worst(logits, expected) <= 2e-5);

      const nn::token_sequence last3{tokens, std::ssize(tokens) - 3};
      tape<X> recorded;
      const auto lifted = nn::lifted<var<X>>(m, [&](std::size_t, const X& p) { return recorded.leaf(p); });
      const auto nll = lifted.nll(m.make_batch(std::array{&last3}));
      X one(shape{1});
      fill(one, 1);
      recorded.pullback(nll, one);
      auto gradients = nn::copy_of(m);  // saved under the family's names, the gradients can be compared by name
      nn::for_each_parameter([](const nn::name_path&, X& g, const var<X>& p) {
        g = gradient_of(p).absent() ? zeros<X>(p.value.extents()) : gradient_of(p);
      }, gradients, lifted);
      const temporary_folder out;
      model::save_decoder_folder(gradients, out.path());
      const io::safetensors_file ours(out.path() / "model.safetensors");
      std::size_t compared = 0;
      for (const auto& entry : golden.tensors())
        if (entry.name.starts_with("gradient.")) {
          BOOST_TEST(worst(values(ours, entry.name.substr(9)), values(golden, entry.name)) <= 5e-5, entry.name);
          ++compared;
        }
      BOOST_TEST(compared == ours.tensors().size());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_saved_folder_is_read_back_to_the_same_numbers) {
  for (const std::string name : {"llama3_tied", "qwen2", "gpt2"}) {
    const auto m = model::load_decoder_folder<tensor<float>>(golden_folder / name);
    const temporary_folder out;
    model::save_decoder_folder(m, out.path(), 0);
    const auto again = model::load_decoder_folder<tensor<float>>(out.path());
    const nn::token_sequence s{{1, 2, 3, 4, 5}, 1};
    BOOST_TEST((m.logits(m.make_batch(std::array{&s})).to_vector() == again.logits(again.make_batch(std::array{&s})).to_vector()));
    BOOST_TEST(io::safetensors_file(out.path() / "model.safetensors").tensors().size() ==
               io::safetensors_file(golden_folder / name / "model.safetensors").tensors().size());
  }
}

BOOST_AUTO_TEST_CASE(bad_folders_are_refused) {
  const temporary_folder out;
  const auto refused = [&](const char* expected) {
    try {
      static_cast<void>(model::load_decoder_folder<tensor<float>>(out.path()));
    } catch (const error& e) {
      const bool found = std::string(e.what()).find(expected) != std::string::npos;
      BOOST_TEST(found, e.what());
      return true;
    }
    return false;
  };
  BOOST_TEST(refused("config.json"));
  fs::copy(golden_folder / "llama" / "config.json", out.path() / "config.json");
  BOOST_TEST(refused("model.safetensors"));
  fs::copy(golden_folder / "qwen2" / "model.safetensors", out.path() / "model.safetensors");
  fs::copy(golden_folder / "gpt2" / "config.json", out.path() / "config.json", fs::copy_options::overwrite_existing);
  BOOST_TEST(refused("wte.weight"));
  auto m = model::load_decoder_folder<tensor<float>>(golden_folder / "llama");
  const float nan = NAN;
  m.blocks[1].up.weight.slice(0, 1).reshaped({16}).slice(3, 4).upload(std::span(&nan, 1));
  model::save_decoder_folder(m, out.path());
  BOOST_TEST(refused("model.layers.1.mlp.up_proj.weight"));
  auto config = nlohmann::json::parse(std::ifstream(out.path() / "config.json"));
  config["hidden_size"] = 20;
  std::ofstream(out.path() / "config.json") << config;
  BOOST_TEST(refused("shape"));
  config["model_type"] = "mamba";
  std::ofstream(out.path() / "config.json") << config;
  BOOST_TEST(refused("mamba"));
}

BOOST_AUTO_TEST_CASE(weights_that_would_make_another_model_are_refused) {
  const temporary_folder out;
  const auto config = out.path() / "config.json", weights = out.path() / "model.safetensors";
  const auto changed = [](const fs::path& file, const std::string& from, const std::string& to) {
    std::string text = read_all(file);
    const auto at = text.find(from);
    BOOST_TEST_REQUIRE(at != std::string::npos);
    std::ofstream(file, std::ios::binary) << text.replace(at, from.size(), to);
  };
  const auto refused = [&](const char* expected) {
    BOOST_CHECK_EXCEPTION(static_cast<void>(model::load_decoder_folder<tensor<float>>(out.path())), error, message_contains(expected));
  };
  auto m = model::load_decoder_folder<tensor<float>>(golden_folder / "llama");
  model::save_decoder_folder(m, out.path());
  changed(config, R"("tie_word_embeddings": false)", R"("tie_word_embeddings": true)");
  refused("'lm_head.weight' is not the embedding");
  m.head.upload(m.embedding.to_vector());
  model::save_decoder_folder(m, out.path());
  changed(config, R"("tie_word_embeddings": false)", R"("tie_word_embeddings": true)");
  BOOST_TEST(model::load_decoder_folder<tensor<float>>(out.path()).head.absent());
  model::save_decoder_folder(m, out.path());
  changed(weights, R"("F32")", R"("I32")");
  refused("quantised");
}

BOOST_AUTO_TEST_CASE(every_family_is_read_back) {
  for (const auto family : {model::decoder_family::llama, model::decoder_family::qwen2, model::decoder_family::gpt2}) {
    const auto m = model::random_decoder<tensor<float>>({.family = family, .vocabulary = 12, .width = 8, .layers = 1, .heads = 2, .kv_heads = 2,
                                                         .head_dim = 4, .ffn_width = 8, .context = 16}, 1);
    const temporary_folder out;
    model::save_decoder_folder(m, out.path());
    const auto again = nn::parameters(model::load_decoder_folder<tensor<float>>(out.path())), before = nn::parameters(m);
    BOOST_TEST_REQUIRE(again.size() == before.size());
    for (std::size_t i = 0; i < before.size(); ++i) BOOST_TEST((again[i].to_vector() == before[i].to_vector()));
  }
}

BOOST_AUTO_TEST_CASE(settings_that_change_nothing_are_read) {
  const temporary_folder out;
  const auto read = [&](const char* name, const auto& change) {
    auto config = nlohmann::json::parse(std::ifstream(golden_folder / name / "config.json"));
    change(config);
    std::ofstream(out.path() / "config.json") << config;
    return model::read_hf_config(out.path() / "config.json");
  };
  const auto windows = [](index_t full) {
    return [=](auto& config) {
      config["use_sliding_window"] = true, config["max_window_layers"] = full;
      config.erase("layer_types");
    };
  };
  const index_t layers = read("qwen2", [](auto&) {}).layers;
  BOOST_CHECK_NO_THROW(read("qwen2", windows(layers)));
  BOOST_CHECK_THROW(read("qwen2", windows(layers - 1)), error);
  const auto c = read("llama3_tied", [](auto& config) { config["rope_parameters"].erase("original_max_position_embeddings"); });
  BOOST_TEST(c.scaling.original_context == static_cast<double>(c.context));
  const auto twice = read("llama3_tied", [](auto& config) {
    config["rope_scaling"] = config["rope_parameters"];
    config["original_max_position_embeddings"] = config["rope_parameters"]["original_max_position_embeddings"];
  });
  BOOST_TEST(twice.scaling.original_context == 16);
}

BOOST_AUTO_TEST_CASE(numbers_that_make_no_model_are_refused) {
  const temporary_folder out;
  const auto refused = [&](const char* name, const char* expected, const auto& change) {
    auto config = nlohmann::json::parse(std::ifstream(golden_folder / name / "config.json"));
    change(config);
    std::ofstream(out.path() / "config.json") << config;
    BOOST_CHECK_EXCEPTION(static_cast<void>(model::read_hf_config(out.path() / "config.json")), error, [&](const error& e) {
      const std::string text = e.what();
      BOOST_TEST_MESSAGE(text);
      return text.find("config.json") != std::string::npos && text.find(expected) != std::string::npos;
    });
  };
  for (const double theta : {0.0, -10000.0, 0.5})
    refused("llama", "rope_theta", [&](auto& config) { config["rope_parameters"]["rope_theta"] = theta; });
  refused("llama", "norm_epsilon", [](auto& config) { config["rms_norm_eps"] = -5; });
  refused("gpt2", "norm_epsilon", [](auto& config) { config["layer_norm_epsilon"] = -1e-5; });
  refused("gpt2", "scale_attn_weights", [](auto& config) { config["scale_attn_weights"] = false; });
  const auto scaling = [&](const char* key, double value, const char* expected) {
    refused("llama3_tied", expected, [&](auto& config) { config["rope_parameters"][key] = value; });
  };
  refused("llama", "'rope_scaling'", [](auto& config) { config["rope_scaling"] = "linear"; });
  refused("llama3_tied", "say different things", [](auto& config) { config["rope_scaling"] = {{"rope_type", "default"}}; });
  refused("llama3_tied", "'original_max_position_embeddings'", [](auto& config) { config["original_max_position_embeddings"] = 32; });
  scaling("factor", 0, "factor is 0");
  scaling("factor", -8, "factor is -8");
  scaling("low_freq_factor", -1, "low_frequency_factor is -1");
  scaling("low_freq_factor", 4, "high_frequency_factor is 4");
  scaling("original_max_position_embeddings", 0, "original_context is 0");
  model::decoder_config c{.vocabulary = 8, .width = 4, .layers = 1, .heads = 1, .kv_heads = 1, .head_dim = 4, .ffn_width = 4, .context = 4};
  BOOST_CHECK_NO_THROW(c.check("numbers"));
  for (const double bad : {static_cast<double>(NAN), static_cast<double>(INFINITY)})
    for (double* const number : {&c.norm_epsilon, &c.rotary_base, &c.scaling.factor}) {
      const double good = std::exchange(*number, bad);
      BOOST_CHECK_THROW(c.check("numbers"), error);
      *number = good;
    }
}

BOOST_AUTO_TEST_CASE(a_context_that_does_not_fit_is_refused_before_its_angles_are_computed) {
  testing::allowance = 1;  // the embedding
  const model::decoder_config endless{.vocabulary = 8, .width = 4, .layers = 1, .heads = 1, .kv_heads = 1, .head_dim = 128, .ffn_width = 4,
                                      .context = (index_t{1} << 31) - 1};
  BOOST_CHECK_EXCEPTION((model::empty_decoder<tensor<float, testing::watched_storage<float>>>(endless)), out_of_memory, [](const error& e) {
    return std::string(e.what()).find("table of rotary angles: tensor [2147483647, 64]") != std::string::npos;
  });
  testing::allowance = std::numeric_limits<index_t>::max();
}

BOOST_AUTO_TEST_CASE(angles_are_those_of_their_positions) {
  const model::decoder_config c{.head_dim = 6, .context = 600};  // computed in parts
  const auto table = model::make_rotary_table<X>(c);
  const auto cosines = table.cosines.to_vector(), sines = table.sines.to_vector();
  for (const index_t position : {0, 1, 255, 256, 511, 512, 599})
    for (index_t pair = 0; pair < 3; ++pair) {
      const double angle = static_cast<double>(position) * std::pow(10000.0, -2.0 * static_cast<double>(pair) / 6.0);
      BOOST_TEST(cosines[static_cast<std::size_t>(3 * position + pair)] == std::cos(angle));
      BOOST_TEST(sines[static_cast<std::size_t>(3 * position + pair)] == std::sin(angle));
    }
}

BOOST_AUTO_TEST_CASE(label_smoothing_has_a_range) {
  auto m = model::load_decoder_folder<X>(golden_folder / "llama");
  const nn::token_sequence s{{1, 2, 3}, 1};
  for (const double smoothing : {0.0, 0.1}) {
    m.label_smoothing = smoothing;
    BOOST_CHECK_NO_THROW(static_cast<void>(m.nll(m.make_batch(std::array{&s}))));
  }
  for (const double smoothing : {-0.1, 1.0, static_cast<double>(NAN)}) {
    m.label_smoothing = smoothing;
    BOOST_CHECK_THROW(static_cast<void>(m.nll(m.make_batch(std::array{&s}))), error);
  }
}

BOOST_AUTO_TEST_CASE(bad_batches_are_refused) {
  const auto m = model::load_decoder_folder<tensor<float>>(golden_folder / "llama");
  const auto refused = [&](const nn::token_sequence& s) {
    BOOST_CHECK_THROW(static_cast<void>(m.make_batch(std::array{&s})), error);
  };
  refused({{1, 2, 3}, 0});
  refused({{1, 2, 3}, 3});
  refused({{1, 56, 3}, 1});
  refused({{1, -1, 3}, 1});
  refused({std::vector<std::int32_t>(66, 1), 1});
}

BOOST_AUTO_TEST_SUITE_END()
