// Decoders of every family against transformers: logits, gradients, files of all kinds; what we save we and others read.
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <expunge/model/decoder_folder.hpp>

using namespace expunge;
using X = tensor<double>;
namespace fs = std::filesystem;

namespace {

const fs::path golden_folder = fs::path(EXPUNGE_SOURCE_DIR) / "test/golden/models";

struct scratch {
  fs::path path = fs::temp_directory_path() / ("expunge_decoder_" + std::to_string(std::rand()));
  scratch() { fs::create_directories(path); }
  ~scratch() { fs::remove_all(path); }
};

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
      const scratch out;
      model::save_decoder_folder(gradients, out.path);
      const io::safetensors_file ours(out.path / "model.safetensors");
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
    const scratch out;
    model::save_decoder_folder(m, out.path, 0);
    const auto again = model::load_decoder_folder<tensor<float>>(out.path);
    const nn::token_sequence s{{1, 2, 3, 4, 5}, 1};
    BOOST_TEST((m.logits(m.make_batch(std::array{&s})).to_vector() == again.logits(again.make_batch(std::array{&s})).to_vector()));
    BOOST_TEST(io::safetensors_file(out.path / "model.safetensors").tensors().size() ==
               io::safetensors_file(golden_folder / name / "model.safetensors").tensors().size());
  }
}

BOOST_AUTO_TEST_CASE(bad_folders_are_refused) {
  const scratch out;
  const auto refused = [&](const char* expected) {
    try {
      static_cast<void>(model::load_decoder_folder<tensor<float>>(out.path));
    } catch (const error& e) {
      const bool found = std::string(e.what()).find(expected) != std::string::npos;
      BOOST_TEST(found, e.what());
      return true;
    }
    return false;
  };
  BOOST_TEST(refused("config.json"));
  fs::copy(golden_folder / "llama" / "config.json", out.path / "config.json");
  BOOST_TEST(refused("model.safetensors"));
  fs::copy(golden_folder / "qwen2" / "model.safetensors", out.path / "model.safetensors");
  fs::copy(golden_folder / "gpt2" / "config.json", out.path / "config.json", fs::copy_options::overwrite_existing);
  BOOST_TEST(refused("wte.weight"));
  auto m = model::load_decoder_folder<tensor<float>>(golden_folder / "llama");
  const float nan = NAN;
  m.blocks[1].up.weight.slice(0, 1).reshaped({16}).slice(3, 4).upload(std::span(&nan, 1));
  model::save_decoder_folder(m, out.path);
  BOOST_TEST(refused("model.layers.1.mlp.up_proj.weight"));
  auto config = nlohmann::json::parse(std::ifstream(out.path / "config.json"));
  config["hidden_size"] = 20;
  std::ofstream(out.path / "config.json") << config;
  BOOST_TEST(refused("shape"));
  config["model_type"] = "mamba";
  std::ofstream(out.path / "config.json") << config;
  BOOST_TEST(refused("mamba"));
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
