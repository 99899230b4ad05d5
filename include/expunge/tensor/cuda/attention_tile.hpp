// The threads of a block at work on a tile of queries and a tile of keys of one head: products, sums and loops over scores.
#pragma once

#include <cstddef>
#include <cstdint>

#include "expunge/tensor/attention_shape.hpp"
#include "expunge/tensor/cuda/lanes.hpp"
#include "expunge/tensor/fn.hpp"

namespace expunge::cuda {

/// Rows of a tile of queries or keys; the tile of an array [T, heads * dim] is held as [tile, dim + 1] in shared memory.
template <class T>
inline constexpr int attention_tile_rows = sizeof(T) == 4 ? 32 : 16;

/// Where a tile lies: in the example that owns the rows [begin, end), from row `first` on. The example's keys begin with
/// `first_key`; row r has the key r + shift.
struct attention_tile_place {
  index_t begin, end, first, first_key, shift;
};

/// How many tiles there are at most.
inline index_t attention_tiles(const attention_shape& sizes, int tile) { return sizes.rows / tile + sizes.examples; }

/// The tile number `which`, counted through the examples; false where there are fewer.
EXPUNGE_DEVICE inline bool find_attention_tile(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets,
                                               int tile, index_t which, attention_tile_place& found) {
  for (index_t e = 0; e < sizes.examples; ++e) {
    const index_t begin = offsets[e], end = offsets[e + 1], tiles = (end - begin + tile - 1) / tile;
    if (which < tiles) {
      found = {begin, end, begin + which * tile, key_offsets[e], key_offsets[e + 1] - end};
      return true;
    }
    which -= tiles;
  }
  return false;
}

/// Rows of one head in an array in global memory; rows from `count` to the end of the tile count as zeros.
template <class T>
struct attention_rows {
  const T* first;
  index_t stride;
  int count;
};

/// The working memory of a block and what its threads do with it. Every member function is called by all threads of the block
/// and ends at a barrier. Score matrices are [tile, tile + 1]: queries by keys.
template <class T, class Lanes>
class attention_tile {
 public:
  static constexpr int size = attention_tile_rows<T>;

  /// Elements of working memory for head dimension `dim`.
  EXPUNGE_DEVICE static constexpr std::size_t elements(index_t dim) {
    return static_cast<std::size_t>(4 * size * (static_cast<int>(dim) + 1) + 4 * size * (size + 1) + 3 * size);
  }

  EXPUNGE_DEVICE attention_tile(const Lanes& of, T* memory, index_t dim) : lanes(of), dim_(static_cast<int>(dim)) {
    for (T** rows : {&a_, &b_, &sums[0], &sums[1]}) *rows = memory, memory += size * (dim_ + 1);
    for (T*& s : scores) s = memory, memory += size * (size + 1);
    for (T*& r : row) r = memory, memory += size;
  }

  const Lanes& lanes;
  T* scores[4];
  T* sums[2];  // [tile, dim + 1]
  T* row[3];   // [tile]

  /// scores = factor x y^T, or added to them.
  EXPUNGE_DEVICE void multiply(const attention_rows<T>& x, const attention_rows<T>& y, T factor, T* s, bool add = false) const {
    load(x, a_);
    load(y, b_);
    lanes.sync();
    constexpr int quarter = size / 4;
    for (int item = lanes.index(); item < size * quarter; item += lanes.count()) {
      const int i = item / quarter, j = item % quarter, stride = dim_ + 1;
      T sum[4] = {};
      for (int d = 0; d < dim_; ++d) {
        const T left = a_[i * stride + d];
        for (int u = 0; u < 4; ++u) sum[u] += left * b_[(j + u * quarter) * stride + d];
      }
      for (int u = 0; u < 4; ++u) {
        T& to = s[i * (size + 1) + j + u * quarter];
        to = add ? to + factor * sum[u] : factor * sum[u];
      }
    }
    lanes.sync();
  }

  /// sum[i, :] += sum_j s[i, j] y[j, :], or with the transposed scores sum[j, :] += sum_i s[i, j] y[i, :].
  EXPUNGE_DEVICE void combine(const T* s, bool transposed, const attention_rows<T>& y, T* sum) const {
    load(y, a_);
    lanes.sync();
    constexpr int quarter = size / 4;
    const int along = transposed ? 1 : size + 1, across = transposed ? size + 1 : 1, stride = dim_ + 1;
    for (int item = lanes.index(); item < quarter * dim_; item += lanes.count()) {
      const int i = item / dim_, d = item % dim_;
      T total[4] = {};
      for (int j = 0; j < size; ++j) {
        const T value = a_[j * stride + d];
        for (int u = 0; u < 4; ++u) total[u] += s[(i + u * quarter) * along + j * across] * value;
      }
      for (int u = 0; u < 4; ++u) sum[(i + u * quarter) * stride + d] += total[u];
    }
    lanes.sync();
  }

  /// Calls f(i, j, k) for every score, k being its place in a score matrix.
  template <class F>
  EXPUNGE_DEVICE void for_scores(const F& f) const {
    for (int item = lanes.index(); item < size * size; item += lanes.count())
      f(item / size, item % size, item / size * (size + 1) + item % size);
    lanes.sync();
  }
  /// Calls f(i, part) for the rows of the tile, a team of threads a row: `part` is this thread's place in it. Every thread of a team
  /// must reach the same team_sum() and team_max() of `lanes`.
  template <class F>
  EXPUNGE_DEVICE void for_rows(const F& f) const {
    static_assert(size % 4 == 0 && 32 % Lanes::team == 0);  // whole warps: all of their threads are at work, or none
    for (int item = lanes.index(); item < size * Lanes::team; item += lanes.count()) f(item / Lanes::team, item % Lanes::team);
    lanes.sync();
  }
  static constexpr int team = Lanes::team;
  /// Calls f(i, d, k) for the elements of the first `count` rows, k being the place in sums.
  template <class F>
  EXPUNGE_DEVICE void for_elements(int count, const F& f) const {
    for (int item = lanes.index(); item < count * dim_; item += lanes.count())
      f(item / dim_, item % dim_, item / dim_ * (dim_ + 1) + item % dim_);
    lanes.sync();
  }

 private:
  EXPUNGE_DEVICE void load(const attention_rows<T>& from, T* to) const {
    for (int item = lanes.index(); item < size * dim_; item += lanes.count()) {
      const int i = item / dim_, d = item % dim_;
      to[i * (dim_ + 1) + d] = i < from.count ? from.first[i * from.stride + d] : T{0};
    }
  }

  int dim_;
  T *a_, *b_;
};

}  // namespace expunge::cuda
