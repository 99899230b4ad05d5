// expected: Storage must hold elements of type T
// A tensor over a storage of another element type.
#include <expunge/tensor/tensor.hpp>

#ifdef FIXED
expunge::tensor<float, expunge::host_storage<float>> x;
#else
expunge::tensor<float, expunge::host_storage<double>> x;
#endif
