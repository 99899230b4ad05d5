// expected: the optimizer needs `double learning_rate` and `start\(parameters\)`
// An optimizer without run state given to the trainer.
#include <expunge/model/mlp.hpp>
#include <expunge/unlearn/trainer.hpp>

using namespace expunge;
using X = tensor<float>;

struct my_optimizer {
  double learning_rate = 1;

#ifdef FIXED
  struct state {
    void update(std::vector<X>& parameters, const std::vector<X>& gradients, double rate_factor, double gradient_factor) const;
  };
  [[nodiscard]] state start(const std::vector<X>&) const { return {}; }
#endif
};

void train(model::mlp<X>& m) { unlearn::trainer(m, loss::gradient_ascent{}, my_optimizer{}); }
