// Standard output, which can be a full disk.
#pragma once

#include <expunge/core/error.hpp>

#include <iostream>

namespace program {

/// Writes what std::cout still holds. Throws expunge::error where that, or a line before, could not be written.
inline void finish_standard_output() {
  std::cout.flush();
  expunge::require(std::cout.good(), "cannot write to standard output: is the disk full, or was it closed?");
}

}  // namespace program
