// expected: loss: `start\(model, forget\)` must be const and take
// A loss whose own objective would be left out in silence.
#include <expunge/model/mlp.hpp>
#include <expunge/unlearn/trainer.hpp>

using namespace expunge;

struct my_loss : loss::gradient_difference {
  template <class M>
  auto start(const M&, std::span<const typename M::example_type>)
#ifdef FIXED
      const
#endif
  {
    return loss::base_objective<M, loss::gradient_difference>(*this);
  }
};

void train(model::mlp<tensor<float>>& m, const std::vector<model::labelled_sample>& set) {
  unlearn::trainer(m, my_loss{}, optim::sgd{}).run(set, set, unlearn::after_steps(1));
}
