// The element-wise operations of autodiff/ for every function of one variable.
#include "expunge/cuda/map_function.cuh"

using namespace expunge::functor;
namespace function = expunge::function;

#define EXPUNGE_LIST(T)                                       \
  EXPUNGE_CUDA_ASSIGN(T, affine<T>, const T*)                 \
  EXPUNGE_CUDA_ASSIGN(T, product_with<T>, const T*)           \
  EXPUNGE_CUDA_ASSIGN(T, combination<T>, const T*, const T*)  \
  EXPUNGE_CUDA_MAP(cross_entropy_value<T>, T*, T*, T*, const T*, const T*) \
  EXPUNGE_CUDA_MAP(cross_entropy_tangent<T>, T*, T*, const T*, const T*, const T*)

#define EXPUNGE_ALL(T)                                        \
  EXPUNGE_LIST(T)                                             \
  EXPUNGE_CUDA_UNARY(T, function::relu)                       \
  EXPUNGE_CUDA_UNARY(T, function::tanh)                       \
  EXPUNGE_CUDA_UNARY(T, function::sigmoid)                    \
  EXPUNGE_CUDA_UNARY(T, function::log_sigmoid)                \
  EXPUNGE_CUDA_UNARY(T, function::exp)                        \
  EXPUNGE_CUDA_UNARY(T, function::log)                        \
  EXPUNGE_CUDA_UNARY(T, function::silu)                       \
  EXPUNGE_CUDA_UNARY(T, function::gelu)                       \
  EXPUNGE_CUDA_UNARY(T, function::gelu_tanh)                  \
  EXPUNGE_CUDA_GATED(T, function::silu)                       \
  EXPUNGE_CUDA_GATED(T, function::identity)

EXPUNGE_ALL(float)
EXPUNGE_ALL(double)
