// expected: the loss needs `V forget\(const loss::answers<V>&\) const`
// A loss without a forget or a retain term given to the trainer.
#include <expunge/model/mlp.hpp>
#include <expunge/unlearn/trainer.hpp>

using namespace expunge;

struct my_loss {
  template <class V>
#ifdef FIXED
  V forget(const loss::answers<V>& a) const {
#else
  V forgetting(const loss::answers<V>& a) const {
#endif
    return mean(a.nll_per_token());
  }
};

void train(model::mlp<tensor<float>>& m) { unlearn::trainer(m, my_loss{}, optim::sgd{}); }
