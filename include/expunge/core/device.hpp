// The mark of functions that also run on a GPU: arithmetic that is written once and tested on the host.
#pragma once

#ifdef __CUDACC__
#define EXPUNGE_DEVICE __host__ __device__
#else
#define EXPUNGE_DEVICE
#endif
