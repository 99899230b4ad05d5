// The element-wise operations of tensor/, optim/, attribution/ and loss/.
#include "expunge/attribution/functor.hpp"
#include "expunge/cuda/map_each.cuh"
#include "expunge/loss/functor.hpp"
#include "expunge/optim/functor.hpp"
#include "expunge/tensor/functor.hpp"

#define EXPUNGE_ALL(T)                            \
  EXPUNGE_TENSOR_MAPS(EXPUNGE_CUDA_MAP, T)        \
  EXPUNGE_OPTIM_MAPS(EXPUNGE_CUDA_MAP_EACH, T)    \
  EXPUNGE_ATTRIBUTION_MAPS(EXPUNGE_CUDA_MAP, T)   \
  EXPUNGE_TENSOR_SUMS(EXPUNGE_CUDA_MAP_SUM, T)    \
  EXPUNGE_LOSS_SUMS(EXPUNGE_CUDA_MAP_SUM, T)      \
  EXPUNGE_TENSOR_SUMS_OF_MANY(EXPUNGE_CUDA_MAP_SUM_EACH, T) \
  EXPUNGE_LOSS_SUMS_OF_MANY(EXPUNGE_CUDA_MAP_SUM_EACH, T)

EXPUNGE_ALL(float)
EXPUNGE_ALL(double)
EXPUNGE_CUDA_MAP_EACH(expunge::functor::assign<expunge::functor::copy>, expunge::cuda::bfloat16*, const float*)
EXPUNGE_OPTIM_OPERAND_MAPS(EXPUNGE_CUDA_MAP_EACH, float, expunge::cuda::bfloat16)
