// The element-wise operations of autodiff/ for every function of one variable.
#include "expunge/cuda/map_function.cuh"

EXPUNGE_AUTODIFF_MAPS(EXPUNGE_CUDA_MAP, float)
EXPUNGE_AUTODIFF_MAPS(EXPUNGE_CUDA_MAP, double)
EXPUNGE_AUTODIFF_OPERAND_MAPS(EXPUNGE_CUDA_MAP, float, expunge::cuda::bfloat16)
