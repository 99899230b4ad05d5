// Scratch memory of the calling thread that only grows, so that a repeated kernel allocates nothing.
#pragma once

#include <vector>

#include <xsimd/xsimd.hpp>

#include "expunge/core/shape.hpp"

namespace expunge::host::detail {

/// At least `size` elements, aligned for SIMD, contents left from the last use. Each (Purpose, T) has its own memory, and a
/// later call from the same thread for the same purpose may move it.
template <class Purpose, class T>
T* scratch(index_t size) {
  thread_local std::vector<T, xsimd::default_allocator<T>> memory;
  if (std::ssize(memory) < size) memory.assign(static_cast<std::size_t>(size), T{0});
  return memory.data();
}

}  // namespace expunge::host::detail
