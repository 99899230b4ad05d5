// The host kernels for float (target expunge::compiled).
#define EXPUNGE_INSTANCE float
#include "expunge/loss/ssiuu.hpp"
#include "expunge/optim/optimizer.hpp"
