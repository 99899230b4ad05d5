// The host kernels for double (target expunge::compiled).
#define EXPUNGE_INSTANCE double
#include "expunge/loss/ssiuu.hpp"
#include "expunge/optim/optimizer.hpp"
