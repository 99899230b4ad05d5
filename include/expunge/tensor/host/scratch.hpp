// Scratch memory of the calling thread that only grows, so that a repeated kernel allocates nothing.
#pragma once

#include <new>
#include <string>
#include <vector>

#include <xsimd/xsimd.hpp>

#include "expunge/core/error.hpp"
#include "expunge/core/shape.hpp"

namespace expunge::host::detail {

/// At least `size` elements, aligned for SIMD, contents left from the last use. Each (Purpose, T) has its own memory, and a
/// later call from the same thread for the same purpose may move it. Throws expunge::out_of_memory.
template <class Purpose, class T>
T* scratch(index_t size) {
  thread_local std::vector<T, xsimd::default_allocator<T>> memory;
  if (std::ssize(memory) >= size) return memory.data();
  try {
    memory.assign(static_cast<std::size_t>(size), T{0});
  } catch (const std::bad_alloc&) {
    throw out_of_memory("the system has no room for " + std::to_string(static_cast<std::size_t>(size) * sizeof(T)) +
                        " bytes of a kernel's scratch memory; use smaller batches or a smaller model");
  }
  return memory.data();
}

}  // namespace expunge::host::detail
