// A user's own loss: forget until an answer is as unlikely as a guess, and no further. Nothing to derive from, nothing to register.
#include <expunge/loss/ssiuu.hpp>
#include <expunge/metric/likelihood.hpp>
#include <expunge/model/decoder_init.hpp>
#include <expunge/unlearn/trainer.hpp>

#include <cmath>
#include <iostream>

using namespace expunge;
using X = tensor<float>;

/// Hinge: no gradient once the mean NLL a token exceeds `guess`, so that no answer is pushed below chance.
struct forget_to_chance {
  float guess;
  float retain_weight = 1;

  template <class V>
  V forget(const loss::answers<V>& a) const {
    return mean(relu(guess - a.nll_per_token()));
  }
  template <class V>
  V retain(const loss::answers<V>& a) const {
    return retain_weight * mean(a.nll_per_token());
  }
};

/// And a user's own function inside it would be a struct like expunge::function::relu: value, slope, curvature.

int main() {
  const index_t vocabulary = 64;
  auto m = model::random_decoder<X>({.vocabulary = vocabulary, .width = 32, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 8, .ffn_width = 64,
                                     .context = 16, .tied = false}, 1);
  philox random(7);
  std::vector<nn::token_sequence> forget, retain;
  for (int i = 0; i < 40; ++i) {
    nn::token_sequence s{{}, 4};
    for (int t = 0; t < 5; ++t) s.tokens.push_back(static_cast<std::int32_t>(uniform_below(random, vocabulary)));
    (i < 8 ? forget : retain).push_back(s);
  }
  std::vector<nn::token_sequence> all = forget;
  all.insert(all.end(), retain.begin(), retain.end());
  unlearn::trainer(m, loss::fine_tuning{}, optim::adamw{.learning_rate = 5e-3}, {.batch = 40}).run({}, all, unlearn::after_steps(150));

  const auto mean_nll = [&](const std::vector<nn::token_sequence>& set) {
    double total = 0;
    for (const auto& l : metric::likelihoods(m, std::span<const nn::token_sequence>(set))) total += l.per_token();
    return total / static_cast<double>(set.size());
  };
  std::cout << "before: forget nll " << mean_nll(forget) << ", retain nll " << mean_nll(retain) << '\n';

  const forget_to_chance base{std::log(static_cast<float>(vocabulary))};
  const auto method = loss::ssiuu_exact(0.1, base);  // your loss, with the penalty on growing negative influence
  unlearn::trainer(m, method, optim::adamw{.learning_rate = 2e-3}, {.batch = 32}).run(forget, retain, [](const auto& r) {
    return r.terms.forget == 0 || r.step == 200;
  });
  std::cout << "after:  forget nll " << mean_nll(forget) << " (a guess has " << base.guess << "), retain nll " << mean_nll(retain) << '\n';
  return mean_nll(forget) > 0.9 * base.guess && mean_nll(retain) < 1 ? 0 : 1;
}
