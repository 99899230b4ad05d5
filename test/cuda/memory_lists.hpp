// Whether freed memory is kept for later tensors while tests run.
#pragma once

#include <cstdlib>

#include <expunge/tensor/cuda/runtime.hpp>

namespace expunge::testing {

/// Tools and the emulated device see every use of memory that is not lent only where each piece comes from the driver.
inline void use_memory_lists() { cuda::keep_freed(std::getenv("EXPUNGE_TEST_EVERY_ALLOCATION") == nullptr); }

}  // namespace expunge::testing
