// expected: loss: a term must be `template <class V> V forget\(const loss::answers<V>&\) const`
// A loss with a term that would be left out in silence.
#include <expunge/model/mlp.hpp>
#include <expunge/unlearn/trainer.hpp>

using namespace expunge;

struct my_loss {
  template <class V>
#ifdef FIXED
  V forget(const loss::answers<V>& a) const {
#else
  V forget(const loss::answers<V>& a, double) const {
#endif
    return affine(mean(a.nll_per_token()), -1);
  }
  template <class V>
  V retain(const loss::answers<V>& a) const {
    return mean(a.nll_per_token());
  }
};

void train(model::mlp<tensor<float>>& m, const std::vector<model::labelled_sample>& set) {
  unlearn::trainer(m, my_loss{}, optim::sgd{}).run(set, set, unlearn::after_steps(1));
}
