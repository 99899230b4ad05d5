// What a user compiles for it.
#include <expunge/cuda/map_function.cuh>

#include "cube.hpp"

EXPUNGE_CUDA_UNARY(float, cube)
