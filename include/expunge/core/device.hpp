// The mark of functions that also run on a GPU: arithmetic that is written once and tested on the host.
#pragma once

#ifdef __CUDACC__
#define EXPUNGE_DEVICE __host__ __device__
#define EXPUNGE_DEVICE_INLINE __host__ __device__ __forceinline__  // where a call would hide in which memory a pointer points
#else
#define EXPUNGE_DEVICE
#define EXPUNGE_DEVICE_INLINE inline
#endif
