// Matrix fragments of a warp, as the emulated device's kernels use them: every lane keeps both operands whole and eight of the results.
// Loads and stores wait for the warp, so that a lane that does not take part is noticed.
#pragma once

#include "cuda_bf16.h"
#include "cuda_runtime.h"

namespace nvcuda::wmma {

struct matrix_a;
struct matrix_b;
struct accumulator;
struct row_major;
struct col_major;
enum layout_t { mem_row_major, mem_col_major };

template <class Use, int M, int N, int K, class T, class Order = void>
struct fragment;

/// An operand of a 16 x 16 x 16 product, by rows.
template <class Use, class T, class Order>
struct fragment<Use, 16, 16, 16, T, Order> {
  float x[16][16];
};

/// Result e of lane l stands in place 32 e + l, counted by rows.
template <>
struct fragment<accumulator, 16, 16, 16, float, void> {
  static constexpr int num_elements = 8;
  float x[num_elements];

  static int place(int e) { return 32 * e + static_cast<int>(threadIdx.x % 32); }
};
using sums = fragment<accumulator, 16, 16, 16, float>;

inline void fill_fragment(sums& to, float value) {
  for (float& x : to.x) x = value;
}

/// Memory that a warp loads or stores begins at a multiple of 32 bytes, and its rows (or columns) are multiples of 16 bytes apart.
template <class T>
void check(const T* memory, unsigned apart) {
  if (reinterpret_cast<std::uintptr_t>(memory) % 32 != 0 || apart * sizeof(T) % 16 != 0)
    emulation::fail(cudaErrorMisalignedAddress, "a fragment's memory is not aligned");
}

template <class Use, class Order>
void load_matrix_sync(fragment<Use, 16, 16, 16, __nv_bfloat16, Order>& to, const __nv_bfloat16* from, unsigned apart) {
  __syncwarp();
  check(from, apart);
  for (unsigned i = 0; i < 16; ++i)
    for (unsigned j = 0; j < 16; ++j)
      to.x[i][j] = expunge::float_from_bf16((std::is_same_v<Order, row_major> ? from[i * apart + j] : from[j * apart + i]).bits);
}

inline void load_matrix_sync(sums& to, const float* from, unsigned apart, layout_t) {
  __syncwarp();
  check(from, apart);
  for (int e = 0; e < sums::num_elements; ++e) to.x[e] = from[static_cast<unsigned>(sums::place(e) / 16) * apart + static_cast<unsigned>(sums::place(e) % 16)];
}

inline void store_matrix_sync(float* to, const sums& from, unsigned apart, layout_t) {
  __syncwarp();
  check(to, apart);
  for (int e = 0; e < sums::num_elements; ++e) to[static_cast<unsigned>(sums::place(e) / 16) * apart + static_cast<unsigned>(sums::place(e) % 16)] = from.x[e];
}

template <class A, class B>
void mma_sync(sums& to, const A& a, const B& b, const sums& before) {
  for (int e = 0; e < sums::num_elements; ++e) {
    float sum = before.x[e];
    for (int k = 0; k < 16; ++k) sum += a.x[sums::place(e) / 16][k] * b.x[k][sums::place(e) % 16];
    to.x[e] = sum;
  }
}

}  // namespace nvcuda::wmma
