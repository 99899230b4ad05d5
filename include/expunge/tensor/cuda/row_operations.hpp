// The arithmetic of row-wise data movement on a device (see host/rows.hpp and host/rotary.hpp for what each gives).
#pragma once

#include <cstdint>
#include <type_traits>

#include "expunge/tensor/cuda/element_pack.hpp"
#include "expunge/tensor/cuda/lanes.hpp"
#include "expunge/tensor/fn.hpp"

namespace expunge::cuda {

// scatter_add_rows: rows that go to one place are a chain, and what belongs to a column of its first row adds the chain in order.

/// links[r]: the next row behind r with its place, or `count`; as ~next where r is not the first of its place.
template <class Lanes>
EXPUNGE_DEVICE void link_row(const Lanes& lanes, const std::int32_t* rows, index_t count, index_t r, std::int32_t* links) {
  int earlier = 0;
  for_each_lane(lanes, r, [&](index_t i) { return rows[i] == rows[r]; }, [&](index_t, bool same) { earlier |= same ? 1 : 0; });
  index_t left = 0;  // rows from the next one on
  for_each_lane(
      lanes, count - r - 1, [&](index_t i) { return rows[r + 1 + i] == rows[r]; },
      [&](index_t i, bool same) {
        if (same && left == 0) left = count - r - 1 - i;
      });
  earlier = lanes.max(earlier);
  const auto next = static_cast<std::int32_t>(count - lanes.max(left));
  if (lanes.index() == 0) links[r] = earlier != 0 ? ~next : next;
}

/// Column j of the chain that begins with row r, where one does.
template <class T>
EXPUNGE_DEVICE void scatter_column(const T* values, const std::int32_t* rows, const std::int32_t* links, index_t count, index_t cols, T* table,
                                   index_t r, index_t j) {
  if (links[r] < 0) return;
  T sum = table[rows[r] * cols + j];
  for (index_t i = r; i < count; i = links[i] < 0 ? ~links[i] : links[i]) sum += values[i * cols + j];
  table[rows[r] * cols + j] = sum;
}

// One column of one segment of rows.

template <class T>
EXPUNGE_DEVICE void segment_sum_column(const T* values, index_t begin, index_t end, index_t cols, index_t j, T* out) {
  T sum = *out;
  for (index_t r = begin; r < end; ++r) sum += values[r * cols + j];
  *out = sum;
}

/// For the rows of the segment that are the lane's. A null factor is one.
template <class T>
EXPUNGE_DEVICE void segment_multiply_column(const lane_of& lane, T value, const T* factor, index_t begin, index_t end, index_t cols, index_t j,
                                            T* out) {
  const auto at = [&](index_t r) { return (begin + r) * cols + j; };
  for_each_lane(
      lane, end - begin, [&](index_t r) { return out[at(r)] + (factor != nullptr ? value * factor[at(r)] : value); },
      [&](index_t r, T sum) { out[at(r)] = sum; });
}

/// What is known of the products of two columns over some rows.
template <class T>
struct column_products {
  T sum = 0, largest = 0, smallest = 0;
  bool none = true;

  EXPUNGE_DEVICE void add(const column_products& other) {
    if (other.none) return;
    sum += other.sum;
    largest = none ? other.largest : fn::max(largest, other.largest);
    smallest = none ? other.smallest : fn::min(smallest, other.smallest);
    none = false;
  }
};

/// Of the rows of the segment that are the lane's.
template <class T>
EXPUNGE_DEVICE column_products<T> segment_products_column(const lane_of& lane, const T* a, const T* b, index_t begin, index_t end, index_t cols,
                                                          index_t j) {
  column_products<T> of;
  for_each_lane(
      lane, end - begin, [&](index_t r) { return a[(begin + r) * cols + j] * b[(begin + r) * cols + j]; },
      [&](index_t, T product) { of.add({product, product, product, false}); });
  return of;
}

/// The pairs from `pair` (of heads * dim / 2) on, `Count` of one head, of row r of rotary; direction is -1 for the transpose. Arrays and
/// heads begin at multiples of so many elements.
template <int Count, class T, class X, class Y>
EXPUNGE_DEVICE void rotary_pairs(const X* x, const std::int32_t* positions, const T* cos, const T* sin, index_t heads, index_t dim, T direction,
                                 Y* y, bool accumulate, index_t r, index_t pair) {
  const auto at = []<class E>(E* begin) -> auto& {
    using elements = neighbours<Count, std::remove_const_t<E>>;
    return *reinterpret_cast<std::conditional_t<std::is_const_v<E>, const elements, elements>*>(begin);
  };
  const index_t half = dim / 2, j = pair % half, angle = positions[r] * half + j;
  const index_t first = (r * heads + pair / half) * dim + j, second = first + half;
  const neighbours<Count, T> cosines = at(cos + angle), sines = at(sin + angle);
  const neighbours<Count, X> lefts = at(x + first), rights = at(x + second);
  neighbours<Count, Y> of_left{}, of_right{};
  if (accumulate) of_left = at(y + first), of_right = at(y + second);
  for (int u = 0; u < Count; ++u) {
    const T c = cosines.at[u], s = direction * sines.at[u], left = lefts.at[u], right = rights.at[u];
    const T a = c * left - s * right, b = c * right + s * left;
    of_left.at[u] = accumulate ? of_left.at[u] + a : a;
    of_right.at[u] = accumulate ? of_right.at[u] + b : b;
  }
  at(y + first) = of_left;
  at(y + second) = of_right;
}

}  // namespace expunge::cuda
