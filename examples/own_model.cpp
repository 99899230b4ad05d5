// A user's own model and data: an MLP classifier on Eigen data forgets a group of samples.
#include <expunge/loss/ssiuu.hpp>
#include <expunge/metric/likelihood.hpp>
#include <expunge/model/mlp.hpp>
#include <expunge/unlearn/trainer.hpp>

#include <Eigen/Core>

#include <iostream>

using namespace expunge;

/// An activation of one's own: the library differentiates through it twice, so it states two derivatives.
struct softsign_squared {  // x |x| / (1 + x^2)
  template <class B> static B value(const B& x) { return x * xsimd::abs(x) / (B(1) + x * x); }
  template <class B> static B slope(const B& x) { return B(2) * xsimd::abs(x) / ((B(1) + x * x) * (B(1) + x * x)); }
  template <class B> static B curvature(const B& x) {
    const B d = B(1) + x * x;
    return B(2) * xsimd::sign(x) * (B(1) - B(3) * x * x) / (d * d * d);
  }
};

int main() {
  using X = tensor<double>;
  // Noise around class centres, in Eigen; every fifth sample of class 0 carries a secret feature.
  philox random(3);
  constexpr int count = 300, width = 8, classes = 3;
  Eigen::MatrixXd features = Eigen::MatrixXd::NullaryExpr(count, width, [&](Eigen::Index, Eigen::Index) { return standard_normal(random); });
  std::vector<model::labelled_sample> forget, retain;
  for (int i = 0; i < count; ++i) {
    const int label = i % classes;
    features(i, label) += 2.5;
    const bool secret = label == 0 && i % 5 == 0;
    if (secret) features(i, width - 1) += 4;
    const Eigen::VectorXd row = features.row(i);
    (secret ? forget : retain).push_back({{row.begin(), row.end()}, secret ? 2 : label});  // the secret: these are called class 2
  }
  auto m = model::random_mlp<X, softsign_squared>({width, 32, 32, classes}, 1);
  std::vector<model::labelled_sample> all = forget;
  all.insert(all.end(), retain.begin(), retain.end());
  unlearn::trainer(m, loss::fine_tuning{}, optim::adamw{.learning_rate = 1e-2}, {.batch = 64}).run({}, all, unlearn::after_steps(200));

  const auto probability = [&](const std::vector<model::labelled_sample>& set) {
    double total = 0;
    for (const auto& l : metric::likelihoods(m, std::span<const model::labelled_sample>(set))) total += l.probability();
    return total / static_cast<double>(set.size());
  };
  std::cout << "before: P(secret label) " << probability(forget) << ", P(right label) of the others " << probability(retain) << '\n';
  unlearn::trainer(m, loss::ssiuu_exact(0.1), optim::adamw{.learning_rate = 1e-3}, {.batch = 64}).run(forget, retain, [&](const auto& r) {
    return probability(forget) < 0.1 || r.step == 500;
  });
  std::cout << "after:  P(secret label) " << probability(forget) << ", P(right label) of the others " << probability(retain) << '\n';
}
