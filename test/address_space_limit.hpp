// A system that has no more memory.
#pragma once

#include <cstddef>
#include <fstream>
#include <stdexcept>

#include <sys/resource.h>
#include <unistd.h>

// Address and thread sanitizer need more address space than such a limit leaves.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define EXPUNGE_TEST_ADDRESS_SPACE
#endif

namespace expunge::testing {

/// While it lives the process can map only so many bytes more than it has.
class address_space_limit {
 public:
  explicit address_space_limit(std::size_t more) {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    if (pages == 0 || ::getrlimit(RLIMIT_AS, &usual_) != 0) throw std::runtime_error("the address space is not known");
    const ::rlimit here{pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) + more, usual_.rlim_max};
    if (::setrlimit(RLIMIT_AS, &here) != 0) throw std::runtime_error("the address space cannot be limited");
  }
  address_space_limit(const address_space_limit&) = delete;
  address_space_limit& operator=(const address_space_limit&) = delete;
  ~address_space_limit() { ::setrlimit(RLIMIT_AS, &usual_); }

 private:
  ::rlimit usual_{};
};

}  // namespace expunge::testing
