// expected: the model is const, and training changes its tensors in place
// A frozen reference model given to the trainer.
#include <expunge/model/mlp.hpp>
#include <expunge/unlearn/trainer.hpp>

using namespace expunge;
using X = tensor<float>;

#ifdef FIXED
using reference = model::mlp<X>;
#else
using reference = const model::mlp<X>;
#endif

void train(reference& m) { unlearn::trainer(m, loss::gradient_ascent{}, optim::sgd{}).run({}, {}, unlearn::after_steps(1)); }
