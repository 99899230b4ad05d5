// The operations on tensors of double (target expunge::compiled).
#define EXPUNGE_COMPILED
#define EXPUNGE_OPERATION_INSTANCE double
#include "expunge/attribution/gate.hpp"
#include "expunge/autodiff/operations.hpp"
