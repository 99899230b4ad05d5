// The element-wise operations of tensor/, optim/, attribution/ and loss/.
#include "expunge/attribution/functor.hpp"
#include "expunge/cuda/map_sum.cuh"
#include "expunge/loss/functor.hpp"
#include "expunge/optim/functor.hpp"
#include "expunge/tensor/functor.hpp"

using namespace expunge::functor;

#define EXPUNGE_LIST(T)                                                       \
  EXPUNGE_CUDA_MAP(fill<T>, T*)                                               \
  EXPUNGE_CUDA_MAP(scale<T>, T*)                                              \
  EXPUNGE_CUDA_MAP(axpy<T>, T*, const T*)                                     \
  EXPUNGE_CUDA_ASSIGN(T, copy, const T*)                                      \
  EXPUNGE_CUDA_ASSIGN(T, negate, const T*)                                    \
  EXPUNGE_CUDA_ASSIGN(T, add, const T*, const T*)                             \
  EXPUNGE_CUDA_ASSIGN(T, subtract, const T*, const T*)                        \
  EXPUNGE_CUDA_ASSIGN(T, multiply, const T*, const T*)                        \
  EXPUNGE_CUDA_MAP(sgd<T>, T*, const T*)                                      \
  EXPUNGE_CUDA_MAP(sgd_momentum<T>, T*, T*, const T*)                         \
  EXPUNGE_CUDA_MAP(adamw<T>, T*, T*, T*, const T*)                            \
  EXPUNGE_CUDA_ASSIGN(T, joint_probability, const T*)                         \
  EXPUNGE_CUDA_ASSIGN(T, measured_slope, const T*)                            \
  EXPUNGE_CUDA_ASSIGN(T, second_seed, const T*, const T*, const T*)           \
  EXPUNGE_CUDA_MAP(keep_where_negative, T*, const T*)                         \
  EXPUNGE_CUDA_MAP_SUM(copy, const T*)                                        \
  EXPUNGE_CUDA_MAP_SUM(multiply, const T*, const T*)                          \
  EXPUNGE_CUDA_MAP_SUM(parameter_penalty<T>, T*, T*, const T*, const T*)      \
  EXPUNGE_CUDA_MAP_SUM(parameter_penalty<T>, T*, T*, T*, const T*, const T*)  \
  EXPUNGE_CUDA_ASSIGN(T, sign, const T*)

EXPUNGE_LIST(float)
EXPUNGE_LIST(double)
