// The operations on tensors of float (target expunge::compiled).
#define EXPUNGE_COMPILED
#define EXPUNGE_OPERATION_INSTANCE float
#include "expunge/attribution/gate.hpp"
#include "expunge/autodiff/operations.hpp"
