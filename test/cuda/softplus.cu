// What a user compiles for a function of their own.
#include <expunge/cuda/map_function.cuh>

#include "softplus.hpp"

EXPUNGE_CUDA_UNARY(double, softplus)
