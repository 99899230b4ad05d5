// The threads of a block at work on a tile of queries and a tile of keys of one head: products, sums and loops over scores.
#pragma once

#include <cstddef>
#include <cstdint>

#include "expunge/tensor/attention_shape.hpp"
#include "expunge/tensor/cuda/element_pack.hpp"
#include "expunge/tensor/cuda/lanes.hpp"

namespace expunge::cuda {

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

/// Rows of one head in an array in global memory; rows from `count` to the end of the tile count as zeros. `place`: see attention_room.
template <class T>
struct attention_rows {
  const T* first;
  index_t stride;
  int count, place;
};

/// What a pass keeps in working memory. Operands stay until others take their place, which is theirs modulo a power of two of places, so
/// that a product's two operands, of which one has an even and one an odd place, never share one.
struct attention_room {
  int operands, scores, sums, rows;
};

/// The working memory of a block and what its threads do with it. Products says how operands are held and multiplied
/// (attention_products.hpp, include/expunge/cuda/attention_products.cuh). Every member function is called by all threads of the block and
/// ends at a barrier. Score matrices are [size, score_stride]: queries by keys; sums [size, dim and what rounds it up].
template <class Products, class Lanes, class Memory = void*>
class attention_tile {
 public:
  using value_type = typename Products::value_type;
  using T = value_type;
  using operand_type = typename Products::operand_type;
  static constexpr int size = Products::rows, team = Lanes::team;
  static constexpr int score_stride = size + 4;

  /// Bytes of working memory for head dimension `dim`.
  EXPUNGE_DEVICE static constexpr std::size_t bytes(index_t dim, const attention_room& room) {
    const auto width = static_cast<std::size_t>(width_of(static_cast<int>(dim)));
    return size * (static_cast<std::size_t>(room.operands) * (width + Products::padding) * sizeof(operand_type) +
                   (static_cast<std::size_t>(room.sums) * (width + 4) + static_cast<std::size_t>(room.scores) * score_stride +
                    static_cast<std::size_t>(room.rows)) *
                       sizeof(T)) +
           Products::rounded_bytes;
  }

  /// `memory` begins at a multiple of 32 bytes. On a device it is of a type that converts to where shared memory begins, so that the
  /// compiler knows what every pointer points to.
  EXPUNGE_DEVICE attention_tile(const Lanes& of, Memory memory, index_t dim, const attention_room& room)
      : lanes(of), memory_(memory), places_(room.operands), dim_(static_cast<int>(dim)), width_(width_of(dim_)) {
    constexpr int each = static_cast<int>(sizeof(T));
    rounded_ = places_ * size * operand_stride() * static_cast<int>(sizeof(operand_type));
    sums_ = rounded_ + static_cast<int>(Products::rounded_bytes);
    scores_ = sums_ + room.sums * size * sum_stride() * each;
    rows_ = scores_ + room.scores * size * score_stride * each;
    const int packs = width_ / element_pack<T>::size;
    first_row_ = lanes.index() / packs, first_pack_ = lanes.index() % packs;
    rows_on_ = lanes.count() / packs, packs_on_ = lanes.count() % packs;
  }

  const Lanes& lanes;
  [[nodiscard]] EXPUNGE_DEVICE_INLINE T* scores(int i) const { return place<T>(scores_) + i * size * score_stride; }
  [[nodiscard]] EXPUNGE_DEVICE_INLINE T* sums(int i) const { return place<T>(sums_) + i * size * sum_stride(); }
  [[nodiscard]] EXPUNGE_DEVICE_INLINE T* row(int i) const { return place<T>(rows_) + i * size; }  // [size]

  /// scores = factor x y^T, or added to them; rows of `scores` from x's count on are not written.
  EXPUNGE_DEVICE_INLINE void multiply(const attention_rows<T>& x, const attention_rows<T>& y, T factor, T* s, bool add = false) const {
    const operand_type *const left = operand(x), *const right = operand(y);
    lanes.sync();
    Products::multiply(lanes, x.count, width_, left, right, operand_stride(), factor, s, score_stride, add);
    lanes.sync();
  }

  /// sum[i, :] += sum_j s[i, j] y[j, :], or with the transposed scores sum[j, :] += sum_i s[i, j] y[i, :].
  EXPUNGE_DEVICE_INLINE void combine(const T* s, bool transposed, const attention_rows<T>& y, T* sum) const {
    const operand_type* const right = operand(y);
    const auto* const left = Products::round_scores(lanes, s, score_stride, place<operand_type>(rounded_));
    lanes.sync();
    Products::combine(lanes, left, score_stride, transposed, y.count, width_, right, operand_stride(), sum, sum_stride());
    lanes.sync();
  }

  /// Calls row(i) for every query of the tile, and what that gives, f(j, k), for its scores, k being the place in a score matrix.
  template <class F>
  EXPUNGE_DEVICE_INLINE void for_scores(const F& row_of) const {
    for (int item = lanes.index(); item < size * team; item += lanes.count()) {
      const auto f = row_of(item / team);
      for (int j = item % team; j < size; j += team) f(j, item / team * score_stride + j);
    }
    lanes.sync();
  }
  /// The same for the elements of the first `count` rows of a sum.
  template <class F>
  EXPUNGE_DEVICE_INLINE void for_sums(int count, const F& row_of) const {
    for (int item = lanes.index(); item < count * team; item += lanes.count()) {
      const auto f = row_of(item / team);
      for (int d = item % team; d < dim_; d += team) f(d, item / team * sum_stride() + d);
    }
    lanes.sync();
  }
  /// Calls f(i, part) for the rows of the tile, a team of threads a row: `part` is this thread's place in it. Every thread of a team
  /// must reach the same team_sum() and team_max() of `lanes`.
  template <class F>
  EXPUNGE_DEVICE_INLINE void for_rows(const F& f) const {
    static_assert(size % 4 == 0 && 32 % team == 0);  // whole warps: all of their threads are at work, or none
    for (int item = lanes.index(); item < size * team; item += lanes.count()) f(item / team, item % team);
    lanes.sync();
  }
  /// Sets a sum to zeros.
  EXPUNGE_DEVICE_INLINE void clear(T* sum) const {
    for (int item = lanes.index(); item < size * sum_stride(); item += lanes.count()) sum[item] = T{0};
    lanes.sync();
  }

 private:
  EXPUNGE_DEVICE static constexpr int width_of(int dim) { return (dim + Products::multiple - 1) / Products::multiple * Products::multiple; }
  [[nodiscard]] EXPUNGE_DEVICE int operand_stride() const { return width_ + Products::padding; }
  [[nodiscard]] EXPUNGE_DEVICE int sum_stride() const { return width_ + 4; }

  /// The rows in working memory, [size, operand_stride]; loaded, up to the next barrier, where they are not there.
  EXPUNGE_DEVICE_INLINE const operand_type* operand(const attention_rows<T>& from) const {
    const int number = from.place & (places_ - 1);
    operand_type* const to = place<operand_type>(0) + number * size * operand_stride();
    if (held_[number] == from.first) return to;
    held_[number] = from.first;
    using pack = element_pack<T>;
    const int packs = width_ / pack::size;
    const bool whole = dim_ % pack::size == 0 && from.stride % pack::size == 0 && reinterpret_cast<std::uintptr_t>(from.first) % sizeof(pack) == 0;
    int i = first_row_, column = first_pack_;
    for (; i < size; i += rows_on_, column += packs_on_) {
      if (column >= packs) column -= packs, ++i;
      if (i >= size) break;
      const int d = column * pack::size;
      const T* const at = from.first + i * from.stride + d;
      pack loaded{};
      if (i < from.count && whole && d < dim_) loaded = *reinterpret_cast<const pack*>(at);
      else if (i < from.count)
        for (int u = 0; u < pack::size; ++u) loaded.at[u] = d + u < dim_ ? at[u] : T{0};
      Products::hold(loaded, to + i * operand_stride() + d);
    }
    return to;
  }

  template <class E>
  [[nodiscard]] EXPUNGE_DEVICE_INLINE E* place(int byte) const {
    return reinterpret_cast<E*>(static_cast<unsigned char*>(static_cast<void*>(memory_)) + byte);
  }

  Memory memory_;
  int places_, dim_, width_;
  int rounded_, sums_, scores_, rows_;                  // in bytes; operands come first
  int first_row_, first_pack_, rows_on_, packs_on_;  // of an operand's packs, those that this thread loads
  mutable const T* held_[8] = {};       // what the places of operands hold
};

}  // namespace expunge::cuda
