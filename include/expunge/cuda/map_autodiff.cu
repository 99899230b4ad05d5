// The element-wise operations of autodiff/ for every function of one variable.
#include "expunge/autodiff/functor.hpp"
#include "expunge/cuda/map.cuh"

using namespace expunge::functor;
namespace function = expunge::function;

#define EXPUNGE_LIST(T)                                       \
  EXPUNGE_CUDA_ASSIGN(T, affine<T>, const T*)                 \
  EXPUNGE_CUDA_ASSIGN(T, product_with<T>, const T*)           \
  EXPUNGE_CUDA_ASSIGN(T, combination<T>, const T*, const T*)

#define EXPUNGE_UNARY(T, F)                                                                          \
  EXPUNGE_CUDA_ASSIGN(T, value<F>, const T*)                                                         \
  EXPUNGE_CUDA_ASSIGN(T, slope_product<F>, const T*, const T*)                                       \
  EXPUNGE_CUDA_ASSIGN(T, slope_product_tangent<F>, const T*, const T*, const T*, const T*)

#define EXPUNGE_GATED(T, F)                                                                          \
  EXPUNGE_CUDA_ASSIGN(T, value_product<F>, const T*, const T*)                                       \
  EXPUNGE_CUDA_ASSIGN(T, value_product_tangent<F>, const T*, const T*, const T*, const T*)           \
  EXPUNGE_CUDA_ASSIGN(T, gated_pushforward<F>, const T*, const T*, const T*, const T*)               \
  EXPUNGE_CUDA_ASSIGN(T, gated_pullback<F>, const T*, const T*, const T*)                            \
  EXPUNGE_CUDA_ASSIGN(T, gated_pullback_tangent<F>, const T*, const T*, const T*, const T*, const T*, const T*)

#define EXPUNGE_ALL(T)                     \
  EXPUNGE_LIST(T)                          \
  EXPUNGE_UNARY(T, function::relu)         \
  EXPUNGE_UNARY(T, function::tanh)         \
  EXPUNGE_UNARY(T, function::sigmoid)      \
  EXPUNGE_UNARY(T, function::log_sigmoid)  \
  EXPUNGE_UNARY(T, function::exp)          \
  EXPUNGE_UNARY(T, function::log)          \
  EXPUNGE_UNARY(T, function::silu)         \
  EXPUNGE_UNARY(T, function::gelu)         \
  EXPUNGE_UNARY(T, function::gelu_tanh)    \
  EXPUNGE_GATED(T, function::silu)         \
  EXPUNGE_GATED(T, function::identity)

EXPUNGE_ALL(float)
EXPUNGE_ALL(double)
