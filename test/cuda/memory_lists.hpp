// Whether freed memory is kept for later tensors while tests run.
#pragma once

#include <cstdlib>

#include <expunge/tensor/cuda/runtime.hpp>

namespace expunge::testing {

/// Tools and the emulated device see every use of memory that is not lent only where each piece comes from the driver.
inline void use_memory_lists() { cuda::keep_freed(std::getenv("EXPUNGE_TEST_EVERY_ALLOCATION") == nullptr); }

/// Uses CUDA graphs until the end of the scope.
struct with_graphs {
  with_graphs() {
    cuda::keep_freed(true);
    cuda::use_graphs(true);
  }
  with_graphs(const with_graphs&) = delete;
  with_graphs& operator=(const with_graphs&) = delete;
  ~with_graphs() {
    cuda::use_graphs(false);
    use_memory_lists();
  }
};

}  // namespace expunge::testing
