// expected: ssiuu: the base loss needs `V forget\(const answers<V>&\) const`
// SSIUU over a base loss that has nothing to forget.
#include <expunge/loss/ssiuu.hpp>
#include <expunge/model/mlp.hpp>
#include <expunge/unlearn/trainer.hpp>

using namespace expunge;

#ifdef FIXED
using base = loss::gradient_difference;
#else
using base = loss::fine_tuning;
#endif

void train(model::mlp<tensor<float>>& m) { unlearn::trainer(m, loss::ssiuu<base>{}, optim::sgd{}); }
