// Neighbouring elements that a thread of a device loads and stores at once.
#pragma once

namespace expunge::cuda {

/// 16 bytes of them.
template <class T>
struct alignas(16) element_pack {
  static constexpr int size = 16 / sizeof(T);
  T at[size];
};

}  // namespace expunge::cuda
