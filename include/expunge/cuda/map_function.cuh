// What a function of one variable needs on the device: a .cu file of one's own that includes this header and the function (a struct as
// in autodiff/function.hpp, its members marked EXPUNGE_DEVICE) and says EXPUNGE_CUDA_UNARY(float, my_function) makes unary<my_function>
// run there; EXPUNGE_CUDA_GATED does so for a gated activation.
#pragma once

#include "expunge/autodiff/functor.hpp"
#include "expunge/cuda/map.cuh"

#define EXPUNGE_CUDA_UNARY(T, F) EXPUNGE_UNARY_MAPS(EXPUNGE_CUDA_MAP, T, F)
#define EXPUNGE_CUDA_GATED(T, F) EXPUNGE_GATED_MAPS(EXPUNGE_CUDA_MAP, T, F)
