// Standard output, which can be a full disk, and standard streams that are closed.
#pragma once

#include <expunge/core/error.hpp>

#include <iostream>

#include <fcntl.h>

namespace program {

/// Call it before a file is opened: its number would be that of a closed standard stream, and messages would go into it.
inline void occupy_closed_streams() {
  for (const int stream : {0, 1, 2})
    if (::fcntl(stream, F_GETFD) < 0) static_cast<void>(::open("/dev/null", O_RDONLY));  // so that writing fails as before
}

/// Writes what std::cout still holds. Throws expunge::error where that, or a line before, could not be written.
inline void finish_standard_output() {
  std::cout.flush();
  expunge::require(std::cout.good(), "cannot write to standard output: is the disk full, or was it closed?");
}

}  // namespace program
