// SmolLM2-135M-Instruct from its GGUF file against transformers: tokens, logits, greedy continuations. Skipped, visibly, where
// `./expunge.sh model` has not been run.
#include <boost/test/unit_test.hpp>

#include <filesystem>

#include <expunge/model/generate.hpp>
#include <expunge/model/language_model.hpp>

#include "../larger_error.hpp"

using namespace expunge;
using X = tensor<float>;

namespace {

const std::filesystem::path source = EXPUNGE_SOURCE_DIR;
const auto file = source / "build/models/SmolLM2-135M-Instruct.Q4_1.gguf";

boost::test_tools::assertion_result present(boost::unit_test::test_unit_id) {
  boost::test_tools::assertion_result here(std::filesystem::exists(file));
  here.message() << "no " << file << ": run ./expunge.sh model";
  return here;
}

template <class T>
std::vector<T> raw(const io::safetensors_file& golden, const std::string& name) {
  const auto& t = golden.tensor(name);
  const auto* begin = reinterpret_cast<const T*>(t.bytes.data());
  return {begin, begin + t.bytes.size() / sizeof(T)};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(smollm2, *boost::unit_test::precondition(present))

BOOST_AUTO_TEST_CASE(logits_and_greedy_continuations) {
  const auto m = model::load_language_model<X>(file);
  const io::safetensors_file golden(source / "test/golden/smollm2/golden.safetensors");
  std::vector<std::vector<std::int32_t>> prompts;
  double worst = 0;
  for (int i = 0; i < 20; ++i) {
    const std::string at = std::to_string(i) + ".";
    prompts.push_back(raw<std::int32_t>(golden, at + "ids"));
    BOOST_TEST((m.tokenizer.encode(m.tokenizer.decode(prompts.back())) == prompts.back()), "prompt " << i);
    nn::token_sequence s{prompts.back(), std::ssize(prompts.back())};
    s.tokens.push_back(0);
    const auto logits = m.weights.logits(m.weights.make_batch(std::array{&s})).to_vector();
    const auto indices = raw<std::int32_t>(golden, at + "indices");
    const auto expected = raw<float>(golden, at + "logits");
    for (std::size_t j = 0; j < indices.size(); ++j)
      worst = testing::larger_error(worst, static_cast<double>(std::abs(logits[static_cast<std::size_t>(indices[j])] - expected[j])));
  }
  BOOST_TEST_MESSAGE("largest difference of a logit: " << worst);
  BOOST_TEST(worst <= 1e-3);
  const auto greedy = model::generate(m.weights, std::span<const std::vector<std::int32_t>>(prompts), 32);
  for (int i = 0; i < 20; ++i)
    BOOST_TEST((greedy[static_cast<std::size_t>(i)] == raw<std::int32_t>(golden, std::to_string(i) + ".greedy")), "prompt " << i);
}

BOOST_AUTO_TEST_SUITE_END()
