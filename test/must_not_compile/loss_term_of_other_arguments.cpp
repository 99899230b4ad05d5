// expected: loss: a term must be `template <class V> V forget\(const loss::answers<V>&\) const`
// A loss whose own term, which hides its base's, would be left out in silence.
#include <expunge/model/mlp.hpp>
#include <expunge/unlearn/trainer.hpp>

using namespace expunge;

struct my_loss : loss::gradient_difference {
#ifndef FIXED
  template <class V>
  V forget(const loss::answers<V>& a, double weight) const {
    return affine(mean(a.nll), weight);
  }
#endif
};

void train(model::mlp<tensor<float>>& m) { unlearn::trainer(m, my_loss{}, optim::sgd{}).run({}, {}, unlearn::after_steps(1)); }
