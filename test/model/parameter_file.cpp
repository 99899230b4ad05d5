// Weights by their names in a safetensors file: what was saved comes back, and what does not fit is named and changes nothing.
#include <boost/test/unit_test.hpp>

#include <limits>

#include <expunge/model/mlp.hpp>
#include <expunge/model/parameter_file.hpp>

#include "../io/temporary_folder.hpp"
#include "../message_of.hpp"
#include "../unlearn/weights.hpp"

using namespace expunge;

namespace {

template <class T>
model::mlp<tensor<T>> some(std::uint64_t seed) {
  return model::random_mlp<tensor<T>>({2, 3, 2}, seed);
}

/// Two parameters of one name.
template <class V>
struct twins {
  using value_type = V;
  V a{}, b{};
  template <class F, class M, class... R>
  static void visit(const nn::name_path& at, const F& f, M& m, R&... r) {
    f(at / "w", m.a, r.a...), f(at / "w", m.b, r.b...);
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(parameter_file)

BOOST_AUTO_TEST_CASE(what_was_saved_comes_back) {
  const temporary_folder folder;
  const auto file = folder.path() / "w.safetensors";
  const auto saved = some<double>(1);
  model::save_parameters(file, saved);
  auto exact = some<double>(2), handle = exact;
  model::load_parameters(file, exact);
  BOOST_TEST((testing::flat(exact) == testing::flat(saved)));
  BOOST_TEST((testing::flat(handle) == testing::flat(saved)));  // into the memory that the model has
  auto rounded = some<float>(2);
  model::load_parameters(file, rounded);
  BOOST_TEST((testing::distance(testing::flat(rounded), testing::flat(saved)) < 1e-7));
  model::save_parameters(file, rounded);
  model::load_parameters(file, exact);
  BOOST_TEST((testing::flat(exact) == testing::flat(rounded)));
  BOOST_TEST((io::safetensors_file(file).tensor("layers.1.weight").extents == std::vector<index_t>{2, 3}));
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_named_and_changes_nothing) {
  const temporary_folder folder;
  const auto file = folder.path() / "w.safetensors";
  const auto refused = [&](const auto& saved, const std::string& part) {
    model::save_parameters(file, saved);
    auto m = some<float>(2);
    const auto before = testing::flat(m);
    const std::string message = testing::message_of([&] { model::load_parameters(file, m); });
    BOOST_TEST(message.find(part) != std::string::npos, message);
    BOOST_TEST(message.find(file.string()) != std::string::npos, message);
    BOOST_TEST((testing::flat(m) == before));
  };
  refused(model::random_mlp<tensor<float>>({2, 3, 4}, 1), "tensor 'layers.1.weight' has shape [4, 3], the model's is [2, 3]");
  refused(model::random_mlp<tensor<float>>({2, 3}, 1), "no tensor 'layers.1.weight'");
  refused(model::random_mlp<tensor<float>>({2, 3, 2, 2}, 1), "tensor 'layers.2.weight' of shape [2, 2] is no parameter of the model");
  auto diverged = some<float>(1);
  diverged.layers[1].bias.upload(std::vector{0.f, std::numeric_limits<float>::infinity()});
  refused(diverged, "tensor 'layers.1.bias' holds a value that is not finite");
  auto large = some<double>(1);
  large.layers[0].weight.upload(std::vector(6, 1e300));
  refused(large, "tensor 'layers.0.weight' holds a value that is not finite");

  auto m = some<float>(2);
  const std::vector<std::int8_t> ones(6, 1);
  io::write_safetensors(file, std::vector<io::tensor_entry>{{"layers.0.weight", io::dtype::i8, {3, 2}, std::as_bytes(std::span(ones))}});
  BOOST_CHECK_EXCEPTION(model::load_parameters(file, m), error, message_contains("'layers.0.weight' holds whole numbers"));
  m.layers[0].weight = {};
  BOOST_CHECK_EXCEPTION(model::load_parameters(file, m), error, message_contains("'layers.0.weight' has no shape yet"));
  BOOST_CHECK_EXCEPTION(model::save_parameters(file, m), error, message_contains("'layers.0.weight' is not set"));
  using X = tensor<float>;
  twins<X> both{zeros<X>({1}), zeros<X>({1})};
  BOOST_CHECK_EXCEPTION(model::save_parameters(file, both), error, message_contains("tensor name 'w' is reserved or used twice"));
  io::write_safetensors(file, std::vector<io::tensor_entry>{{"w", io::dtype::i8, {1}, std::as_bytes(std::span(ones).first(1))}});
  BOOST_CHECK_THROW(model::load_parameters(file, both), error);
}

BOOST_AUTO_TEST_SUITE_END()
