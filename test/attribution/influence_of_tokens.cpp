// Attributions of examples with several tokens, of different lengths: the extremes over each example's rows, from leaves added at the sites.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <expunge/attribution/influence.hpp>
#include <expunge/model/decoder_init.hpp>

using namespace expunge;
using X = tensor<double>;

namespace {

struct shown {
  nn::site where;
  X h;
  var<X> leaf;
  std::vector<std::int32_t> offsets;
};

/// Adds a leaf of zeros to what it sees, whose cotangent is dP/dh. It sees all rows.
struct adding_observer {
  tape<X>* on;
  std::vector<shown>* sites;
  var<X> operator()(const nn::site& where, const var<X>& h, const X::index_tensor& offsets) const {
    const var<X> leaf = on->leaf(zeros<X>(h.value.extents()));
    sites->push_back({where, clone(h.value), leaf, offsets.to_vector()});
    return h + leaf;
  }
};

model::decoder<X> some_decoder(model::decoder_family family, index_t layers) {
  return model::random_decoder<X>({.family = family, .vocabulary = 12, .width = 8, .layers = layers, .heads = 2, .kv_heads = 2, .head_dim = 4,
                                   .ffn_width = 8, .context = 16}, 1, 1.0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(influence_of_tokens)

BOOST_AUTO_TEST_CASE(extremes_are_over_the_rows_of_each_example) {
  const std::vector<nn::token_sequence> examples{{{1, 2, 3, 4, 5, 6}, 4}, {{7, 8, 9, 10}, 2}};
  for (const auto family : {model::decoder_family::llama, model::decoder_family::gpt2}) {
    const auto m = some_decoder(family, 2);
    const auto found = attribution::influences(m, std::span(examples));
    tape<X> recorded;
    std::vector<shown> sites;
    const auto lifted = nn::lifted<var<X>>(m, [&](std::size_t, const X& p) { return recorded.leaf(p); });
    const var<X> nll = lifted.nll(m.make_batch(std::array{&examples[0], &examples[1]}), adding_observer{&recorded, &sites});
    X slope = clone(nll.value);
    std::vector<double> values = nll.value.to_vector();
    for (double& s : values) s = -std::exp(-s);
    slope.upload(values);
    recorded.pullback(nll, slope);
    BOOST_TEST_REQUIRE(found.size() == sites.size());
    for (std::size_t i = 0; i < sites.size(); ++i) {
      const shown& s = sites[i];
      BOOST_TEST((found[i].where == s.where));
      const auto h = s.h.to_vector(), bar = gradient_of(s.leaf).to_vector();
      const auto neurons = static_cast<std::size_t>(s.h.cols());
      std::vector<double> largest, smallest;
      for (std::size_t e = 0; e + 1 < s.offsets.size(); ++e)
        for (std::size_t n = 0; n < neurons; ++n) {
          std::vector<double> of_rows;
          for (auto r = static_cast<std::size_t>(s.offsets[e]); r < static_cast<std::size_t>(s.offsets[e + 1]); ++r)
            of_rows.push_back(h[r * neurons + n] * bar[r * neurons + n]);
          const auto [low, high] = std::ranges::minmax(of_rows);
          largest.push_back(high), smallest.push_back(low);
        }
      const auto near = [](const std::vector<double>& a, const std::vector<double>& b) {
        BOOST_TEST_REQUIRE(a.size() == b.size());
        for (std::size_t j = 0; j < a.size(); ++j) BOOST_TEST(std::abs(a[j] - b[j]) <= 1e-12);
      };
      BOOST_TEST_CONTEXT(s.where) {
        near(found[i].largest, largest);
        near(found[i].smallest, smallest);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(sites_of_each_family) {
  using enum nn::module;
  using attribution::sites;
  const auto modules = [](model::decoder_family family, sites which) {
    const nn::token_sequence one{{1, 2, 3}, 1};
    std::vector<nn::module> out;
    for (const auto& found : attribution::influences(some_decoder(family, 1), std::span(&one, 1), attribution::measured::probability, which))
      out.push_back(found.where.module);
    return out;
  };
  BOOST_TEST((modules(model::decoder_family::gpt2, sites::ffn) == std::vector{up, down}));
  BOOST_TEST((modules(model::decoder_family::gpt2, sites::all) == std::vector{q, k, v, o, up, down}));
  BOOST_TEST((modules(model::decoder_family::qwen2, sites::all) == std::vector{q, k, v, o, gate, up, down}));
}

BOOST_AUTO_TEST_CASE(sites_of_ones_own_choice) {
  using attribution::measured, attribution::sites;
  const auto m = some_decoder(model::decoder_family::llama, 2);
  const nn::token_sequence one{{1, 2, 3}, 1};
  const auto at = [&](sites which) { return attribution::influences(m, std::span(&one, 1), measured::probability, which); };
  const sites last_values{[](const nn::site& s) { return s.block == 1 && s.module == nn::module::v; }};
  const auto found = at(last_values), all = at(sites::all);
  BOOST_TEST_REQUIRE(found.size() == 1U);
  BOOST_TEST((found[0].where == nn::site{1, nn::module::v}));
  for (const auto& of : all)
    if (of.where == found[0].where) BOOST_TEST((of.largest == found[0].largest));
  BOOST_TEST((last_values != sites::all && sites::ffn != sites::all && sites{} == sites::all));
  BOOST_CHECK_THROW(at({[](const nn::site&) { return false; }}), error);
}

BOOST_AUTO_TEST_SUITE_END()
