// expected: ssiuu: the base loss has a `start`, which would be left out
// SSIUU over a loss with an objective of its own.
#include <expunge/loss/ssiuu.hpp>
#include <expunge/model/mlp.hpp>
#include <expunge/unlearn/trainer.hpp>

using namespace expunge;

struct my_loss : loss::gradient_difference {
#ifndef FIXED
  template <class M>
  auto start(const M&, std::span<const typename M::example_type>) const {
    return loss::base_objective<M, loss::gradient_difference>(*this);
  }
#endif
};

void train(model::mlp<tensor<float>>& m, const std::vector<model::labelled_sample>& set) {
  unlearn::trainer(m, loss::ssiuu<my_loss>{}, optim::sgd{}).run(set, set, unlearn::after_steps(1));
}
