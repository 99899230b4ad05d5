// The arithmetic of row-wise data movement on a device (see host/rows.hpp and host/rotary.hpp for what each gives).
#pragma once

#include <cstdint>

#include "expunge/tensor/cuda/lanes.hpp"
#include "expunge/tensor/fn.hpp"

namespace expunge::cuda {

/// Row r of scatter_add_rows: the first row of those that go to the same place adds them all, in their order.
template <class T, class Lanes>
EXPUNGE_DEVICE void scatter_row(const Lanes& lanes, const T* values, const std::int32_t* rows, index_t count, index_t cols, T* table, index_t r) {
  const std::int32_t place = rows[r];
  int earlier = 0;
  for_each_lane(lanes, r, [&](index_t i) { earlier |= rows[i] == place ? 1 : 0; });
  if (lanes.max(earlier) != 0) return;
  for_each_lane(lanes, cols, [&](index_t j) {
    T sum = table[place * cols + j];
    for (index_t i = r; i < count; ++i)
      if (rows[i] == place) sum += values[i * cols + j];
    table[place * cols + j] = sum;
  });
}

// One column of one segment of rows.

template <class T>
EXPUNGE_DEVICE void segment_sum_column(const T* values, index_t begin, index_t end, index_t cols, index_t j, T* out) {
  T sum = *out;
  for (index_t r = begin; r < end; ++r) sum += values[r * cols + j];
  *out = sum;
}

/// A null factor is one.
template <class T>
EXPUNGE_DEVICE void segment_multiply_column(T value, const T* factor, index_t begin, index_t end, index_t cols, index_t j, T* out) {
  for (index_t r = begin; r < end; ++r) out[r * cols + j] += factor != nullptr ? value * factor[r * cols + j] : value;
}

/// Null outputs are not wanted.
template <class T>
EXPUNGE_DEVICE void segment_products_column(const T* a, const T* b, index_t begin, index_t end, index_t cols, index_t j, T* sum, T* largest,
                                            T* smallest) {
  T total = 0, high = 0, low = 0;
  for (index_t r = begin; r < end; ++r) {
    const T product = a[r * cols + j] * b[r * cols + j];
    total += product;
    high = r == begin ? product : fn::max(high, product);
    low = r == begin ? product : fn::min(low, product);
  }
  if (sum != nullptr) *sum = total;
  if (largest != nullptr) *largest = high;
  if (smallest != nullptr) *smallest = low;
}

/// The pair `pair` (of heads * dim / 2) of row r of rotary; direction is -1 for the transpose.
template <class T>
EXPUNGE_DEVICE void rotary_pair(const T* x, const std::int32_t* positions, const T* cos, const T* sin, index_t heads, index_t dim, T direction,
                                T* y, bool accumulate, index_t r, index_t pair) {
  const index_t half = dim / 2, j = pair % half;
  const index_t first = (r * heads + pair / half) * dim + j, second = first + half;
  const T c = cos[positions[r] * half + j], s = direction * sin[positions[r] * half + j];
  const T a = c * x[first] - s * x[second], b = c * x[second] + s * x[first];
  y[first] = accumulate ? y[first] + a : a;
  y[second] = accumulate ? y[second] + b : b;
}

}  // namespace expunge::cuda
