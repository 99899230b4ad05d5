// Decoders of every family against transformers: logits, gradients, files of all kinds; what we save we and others read.
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <string>
#include <tuple>
#include <utility>

#include <expunge/model/decoder_folder.hpp>

#include "../io/temporary_folder.hpp"
#include "../larger_error.hpp"
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
  for (std::size_t i = 0; i < a.size(); ++i) out = testing::larger_error(out, std::abs(a[i] - b[i]));
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
  config["hidden_size"] = config["num_attention_heads"] = config["num_key_value_heads"] = (1LL << 31) - 1;
  std::ofstream(out.path() / "config.json") << config;
  BOOST_TEST(refused("config.json"));  // no memory has so many
  std::ofstream(out.path() / "config.json") << R"({"model_type": "gpt2", "n_embd": 4611686018427387904, "n_layer": 1, "n_head": 1, "n_positions": 8, "vocab_size": 8})";
  BOOST_TEST(refused("width is 4611686018427387904"));
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
  for (const auto family : {model::decoder_family::llama, model::decoder_family::qwen2, model::decoder_family::gpt2})
    for (const bool tied : {true, false}) {
      const auto m = model::random_decoder<tensor<float>>({.family = family, .vocabulary = 12, .width = 8, .layers = 1, .heads = 2, .kv_heads = 2,
                                                           .head_dim = 4, .ffn_width = 8, .context = 16, .tied = tied}, 1);
      const temporary_folder out;
      model::save_decoder_folder(m, out.path());
      BOOST_TEST(io::safetensors_file(out.path() / "model.safetensors").contains("lm_head.weight") != tied);
      const auto again = nn::parameters(model::load_decoder_folder<tensor<float>>(out.path())), before = nn::parameters(m);
      BOOST_TEST_REQUIRE(again.size() == before.size());
      for (std::size_t i = 0; i < before.size(); ++i) BOOST_TEST((again[i].to_vector() == before[i].to_vector()));
    }
}

BOOST_AUTO_TEST_CASE(gpt2_is_read_with_and_without_the_prefix_of_its_names) {
  const temporary_folder out;
  fs::copy(golden_folder / "gpt2" / "config.json", out.path() / "config.json");
  const io::safetensors_file file(golden_folder / "gpt2" / "model.safetensors");
  auto entries = file.tensors();
  for (auto& entry : entries) {
    BOOST_TEST_REQUIRE(entry.name.starts_with("transformer."));
    entry.name.erase(0, std::string("transformer.").size());
  }
  io::write_safetensors(out.path() / "model.safetensors", entries);
  const auto with = nn::parameters(model::load_decoder_folder<X>(golden_folder / "gpt2")), without = nn::parameters(model::load_decoder_folder<X>(out.path()));
  BOOST_TEST_REQUIRE(with.size() == without.size());
  for (std::size_t i = 0; i < with.size(); ++i) BOOST_TEST((with[i].to_vector() == without[i].to_vector()));
}

BOOST_AUTO_TEST_CASE(weights_of_half_and_of_double_precision_are_read) {
  const temporary_folder out;
  fs::copy(golden_folder / "llama" / "config.json", out.path() / "config.json");
  for (const auto type : {io::dtype::f16, io::dtype::f64}) {
    const io::safetensors_file file(golden_folder / "llama" / "model.safetensors");
    auto entries = file.tensors();
    for (auto& entry : entries) entry.type = type;
    std::vector<std::byte> zero;
    io::write_safetensors(out.path() / "model.safetensors", entries, {}, [&](const io::tensor_entry& entry) {
      zero.assign(static_cast<std::size_t>(*io::element_count(entry.extents)) * io::size_of(type), std::byte{0});
      return std::span<const std::byte>(zero);
    });
    const auto embedding = model::load_decoder_folder<X>(out.path()).embedding.to_vector();
    BOOST_TEST((embedding == std::vector<double>(embedding.size(), 0)));
  }
}

BOOST_AUTO_TEST_CASE(every_number_of_a_config_is_read_back) {
  const temporary_folder out;
  const auto numbers = [](const model::decoder_config& c) {
    return std::tuple(c.family, c.vocabulary, c.width, c.layers, c.heads, c.kv_heads, c.head_dim, c.ffn_width, c.context, c.norm_epsilon, c.rotary_base,
                      c.scaling, c.tied);
  };
  for (const bool tied : {true, false}) {
    const model::decoder_config gpt2{.family = model::decoder_family::gpt2, .vocabulary = 11, .width = 12, .layers = 3, .heads = 4, .kv_heads = 4,
                                     .head_dim = 3, .ffn_width = 7, .context = 9, .norm_epsilon = 3e-4, .tied = tied};
    model::decoder_config llama = gpt2;
    llama.family = model::decoder_family::llama, llama.kv_heads = 2, llama.head_dim = 6, llama.rotary_base = 2e4, llama.scaling = {3, 0.5, 6, 5};
    model::decoder_config qwen2 = llama;
    qwen2.family = model::decoder_family::qwen2;
    for (const auto& c : {gpt2, llama, qwen2})
      BOOST_TEST((numbers(model::read_hf_config(out.write("config.json", model::hf_config(c)))) == numbers(c)));
  }
}

BOOST_AUTO_TEST_CASE(random_parameters_are_spread_as_asked_and_no_two_alike) {
  const auto m = model::random_decoder<X>({.family = model::decoder_family::gpt2, .vocabulary = 64, .width = 64, .layers = 1, .heads = 2, .kv_heads = 2,
                                           .head_dim = 32, .ffn_width = 256, .context = 64, .tied = false}, 1, 0.5);
  const auto& b = m.blocks[0];
  const auto deviation = [](const X& p) {
    double sum = 0;
    for (const double v : p.to_vector()) sum += v * v;
    return std::sqrt(sum / static_cast<double>(p.size()));
  };
  for (const auto& [p, expected] : {std::pair{m.embedding, 0.5}, {m.positions, 0.5}, {m.head, 0.125}, {b.q.weight, 0.125}, {b.up.weight, 0.125},
                                    {b.down.weight, 0.0625}, {b.attention_norm.weight, 1.0}, {m.final_norm.weight, 1.0}})
    BOOST_TEST(std::abs(deviation(p) / expected - 1) < 0.06);
  for (const X& p : {b.q.bias, b.down.bias, b.ffn_norm.bias}) BOOST_TEST(deviation(p) == 0);
  BOOST_TEST((b.q.weight.to_vector() != b.k.weight.to_vector()));
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
  const auto llama = read("llama", [](auto& config) {
    for (const char* key : {"num_key_value_heads", "rms_norm_eps", "tie_word_embeddings", "rope_parameters"}) config.erase(key);
  });
  BOOST_TEST(llama.kv_heads == llama.heads);
  BOOST_TEST((llama.norm_epsilon == 1e-6 && llama.rotary_base == 10000 && !llama.tied));
  const auto gpt2 = read("gpt2", [](auto& config) {
    config["n_inner"] = nullptr;
    for (const char* key : {"layer_norm_epsilon", "tie_word_embeddings", "activation_function"}) config.erase(key);
  });
  BOOST_TEST(gpt2.ffn_width == 4 * gpt2.width);
  BOOST_TEST((gpt2.norm_epsilon == 1e-5 && gpt2.tied));
  const auto older = read("llama3_tied", [](auto& config) {
    auto& scaling = config["rope_scaling"] = config["rope_parameters"];
    scaling["type"] = scaling["rope_type"], config["rope_theta"] = 5e5;
    for (const char* key : {"rope_type", "rope_theta"}) scaling.erase(key);
    config.erase("rope_parameters");
  });
  BOOST_TEST((older.scaling == read("llama3_tied", [](auto&) {}).scaling && older.rotary_base == 5e5));
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
  refused("gpt2", "scale_attn_by_inverse_layer_idx", [](auto& config) { config["scale_attn_by_inverse_layer_idx"] = true; });
  refused("gpt2", "'relu'", [](auto& config) { config["activation_function"] = "relu"; });
  refused("llama", "'gelu'", [](auto& config) { config["hidden_act"] = "gelu"; });
  for (const char* key : {"attention_bias", "mlp_bias"}) refused("llama", key, [&](auto& config) { config[key] = true; });
  refused("llama", "not a multiple of 3", [](auto& config) { config["num_key_value_heads"] = 3; });
  refused("llama", "head_dim 5 is odd", [](auto& config) { config["head_dim"] = 5; });
  refused("llama", "num_attention_heads is 0", [](auto& config) { config["num_attention_heads"] = 0; });
  refused("gpt2", "not a multiple of n_head 0", [](auto& config) { config["n_head"] = 0; });
  refused("llama", "4097 layers", [](auto& config) { config["num_hidden_layers"] = 4097; });
  refused("llama", "vocabulary is 2147483648", [](auto& config) { config["vocab_size"] = 2147483648; });
  refused("llama", "vocabulary is 0", [](auto& config) { config["vocab_size"] = 0; });
  const auto scaling = [&](const char* key, double value, const char* expected) {
    refused("llama3_tied", expected, [&](auto& config) { config["rope_parameters"][key] = value; });
  };
  refused("llama", "'rope_scaling'", [](auto& config) { config["rope_scaling"] = "linear"; });
  refused("llama3_tied", "say different things", [](auto& config) { config["rope_scaling"] = {{"rope_type", "default"}}; });
  refused("llama3_tied", "'original_max_position_embeddings'", [](auto& config) { config["original_max_position_embeddings"] = 32; });
  scaling("factor", 0, "factor is 0");
  scaling("factor", -8, "factor is -8");
  scaling("factor", 0.5, "factor is 0.5");
  scaling("low_freq_factor", -1, "low_frequency_factor is -1");
  scaling("low_freq_factor", 4, "high_frequency_factor is 4");
  for (const double context : {0.0, 2147483648.0}) scaling("original_max_position_embeddings", context, "original_context is");
  model::decoder_config c{.vocabulary = 8, .width = 4, .layers = 1, .heads = 1, .kv_heads = 1, .head_dim = 4, .ffn_width = 4, .context = 4};
  BOOST_CHECK_NO_THROW(c.check("numbers"));
  auto wide = c;
  wide.family = model::decoder_family::gpt2, wide.head_dim = 8;
  BOOST_CHECK_THROW(wide.check("numbers"), error);
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

BOOST_AUTO_TEST_CASE(shapes_are_looked_at_before_memory_is_taken) {
  using watched = tensor<float, testing::watched_storage<float>>;
  const temporary_folder out;
  auto m = model::load_decoder_folder<tensor<float>>(golden_folder / "llama");
  model::save_decoder_folder(m, out.path());
  testing::allowance = 1;  // the embedding
  BOOST_CHECK_EXCEPTION(model::load_decoder_folder<watched>(out.path()), out_of_memory, message_contains("config.json: table of rotary angles"));
  std::string config = read_all(out.path() / "config.json");
  const std::string layers = R"("num_hidden_layers": )";
  io::write_file_atomically(out.path() / "config.json", config.replace(config.find(layers) + layers.size(), 1, "3"));
  testing::allowance = 0;
  BOOST_CHECK_EXCEPTION(model::load_decoder_folder<watched>(out.path()), error, message_contains("no tensor 'model.layers.2.input_layernorm.weight'"));
  testing::allowance = std::numeric_limits<index_t>::max();
}

BOOST_AUTO_TEST_CASE(of_tensors_without_elements_the_weights_are_not_read) {
  using unmade = tensor<float, unmade_storage<float>>;
  const temporary_folder out;
  for (const char* name : {"llama3_tied", "gpt2", "qwen2"}) {
    auto m = model::load_decoder_folder<tensor<float>>(golden_folder / name);
    const std::vector<float> nans(static_cast<std::size_t>(m.embedding.size()), NAN);
    m.embedding.upload(nans);
    model::save_decoder_folder(m, out.path());
    BOOST_CHECK_THROW(model::load_decoder_folder<tensor<float>>(out.path()), error);
    BOOST_TEST(nn::parameter_count(model::load_decoder_folder<unmade>(out.path())) == nn::parameter_count(m));
  }
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

BOOST_AUTO_TEST_CASE(label_smoothing_is_kept_where_derivatives_are_taken) {
  auto m = model::load_decoder_folder<X>(golden_folder / "llama");
  const nn::token_sequence s{{1, 2, 3}, 1};
  const auto batch = m.make_batch(std::array{&s});
  const auto plain = m.nll(batch).to_vector();
  m.label_smoothing = 0.1;
  tape<X> recorded;
  const auto lifted = nn::lifted<var<X>>(m, [&](std::size_t, const X& p) { return recorded.leaf(p); });
  BOOST_TEST((m.nll(batch).to_vector() != plain));
  BOOST_TEST((lifted.nll(batch).value.to_vector() == m.nll(batch).to_vector()));
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
