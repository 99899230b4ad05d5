// The threads of a block at work on a tile of queries and a tile of keys of one head: operands, products, sums and loops over scores.
#pragma once

#include <cstddef>
#include <cstdint>

#include "expunge/tensor/attention_shape.hpp"
#include "expunge/tensor/cuda/element_pack.hpp"
#include "expunge/tensor/cuda/lanes.hpp"

namespace expunge::cuda {

/// Where a tile of rows, or of keys, lies: from `first` on, in the example whose rows, or keys, end before `end`. The example's rows are
/// [first_query, end_query), its keys begin with `first_key`; row r has the key r + shift.
struct attention_tile_place {
  index_t end, first, first_query, end_query, first_key, shift;
};

/// How many tiles there are at most of rows, or of keys.
inline index_t attention_tiles(const attention_shape& sizes, int tile, bool of_keys) {
  return (of_keys ? sizes.key_rows : sizes.rows) / tile + sizes.examples;
}

namespace detail {
EXPUNGE_DEVICE inline std::int32_t attention_tiles_of(const std::int32_t* offsets, std::int32_t example, int tile) {
  return (offsets[example + 1] - offsets[example] + tile - 1) / tile;
}
/// The tile number `which` of an example, of rows where `tiled` are their offsets, or of keys.
EXPUNGE_DEVICE inline attention_tile_place attention_tile_of(const std::int32_t* tiled, const std::int32_t* offsets, const std::int32_t* key_offsets,
                                                             std::int32_t example, index_t which, int tile) {
  const index_t end = offsets[example + 1];
  return {tiled[example + 1], tiled[example] + which * tile, offsets[example], end, key_offsets[example], key_offsets[example + 1] - end};
}
}  // namespace detail

/// The tile number `which`, counted through the examples; false where there are fewer.
EXPUNGE_DEVICE inline bool find_attention_tile(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets,
                                               int tile, index_t which, attention_tile_place& found) {
  for (std::int32_t e = 0; e < sizes.examples; ++e) {
    const index_t tiles = detail::attention_tiles_of(offsets, e, tile);
    if (which < tiles) {
      found = detail::attention_tile_of(offsets, offsets, key_offsets, e, which, tile);
      return true;
    }
    which -= tiles;
  }
  return false;
}

/// The same of keys, counted from those with most tiles of their example from them on to those with fewest: without a past a tile takes a step
/// for each, so that what is left for the end is short.
EXPUNGE_DEVICE inline bool find_attention_tile_of_keys(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets,
                                                       int tile, index_t which, attention_tile_place& found) {
  const auto examples = static_cast<std::int32_t>(sizes.examples);
  const auto tiles = [&](std::int32_t e) { return detail::attention_tiles_of(key_offsets, e, tile); };
  const auto with_steps = [&](std::int32_t least) {  // how many tiles take so many at least
    std::int32_t count = 0;
    for (std::int32_t e = 0; e < examples; ++e) count += tiles(e) < least ? 0 : tiles(e) - least + 1;
    return count;
  };
  std::int32_t above = 2;  // more steps than any tile takes
  for (std::int32_t e = 0; e < examples; ++e) above = tiles(e) < above ? above : tiles(e) + 1;
  std::int32_t steps = 1;  // of the tile: the most that more than `which` tiles take
  while (above - steps > 1) {
    const std::int32_t middle = (steps + above) / 2;
    (with_steps(middle) > which ? steps : above) = middle;
  }
  which -= with_steps(steps + 1);
  for (std::int32_t e = 0; e < examples; ++e)
    if (tiles(e) >= steps && which-- == 0) {
      found = detail::attention_tile_of(key_offsets, offsets, key_offsets, e, tiles(e) - steps, tile);
      return true;
    }
  return false;
}

/// Rows of one head in an array in global memory; rows from `count` to the end of the tile count as zeros.
template <class E>
struct attention_rows {
  const E* first;
  int stride, count;
};

/// What a pass keeps in working memory: operands and numbers of rows that stay, and those that each step of a walk brings, for one step,
/// or for two so that the next step's are on their way while this one's are at work.
struct attention_room {
  int operands, matrices, sums, numbers;
  int moving_operands = 0, moving_numbers = 0, stages = 1;

  [[nodiscard]] EXPUNGE_DEVICE constexpr int all_operands() const { return operands + stages * moving_operands; }
  [[nodiscard]] EXPUNGE_DEVICE constexpr int all_numbers() const { return numbers + stages * moving_numbers; }
};

/// The working memory of a block and what its threads do with it. Products says how operands are multiplied, and where score matrices
/// [size, size] and sums [size, dim] live: in working memory (attention_products.hpp) or in registers
/// (include/expunge/cuda/attention_products.cuh). Every thread of the block calls every member function. Functions of cells get a row or
/// column of the matrix and the cell, by which a thread finds an element of any matrix or sum; what they leave in matrices and sums the
/// next products see. What is fetched is there behind arrive(), which walk() calls.
template <class Products, class Lanes, class Memory = void*>
class attention_tile {
 public:
  using value_type = typename Products::value_type;
  using T = value_type;
  using operand_type = typename Products::operand_type;
  using lanes_type = Lanes;
  using matrix_type = typename Products::matrix;
  using sum_type = typename Products::sum;
  static constexpr int size = Products::rows;

  /// Rows of an operand in working memory.
  struct held_rows {
    const operand_type* at;
    int count;
    bool there;  // or there is no such operand: not a null pointer, so that the compiler knows what `at` points to
  };

  /// Bytes of working memory for head dimension `dim`.
  EXPUNGE_DEVICE static constexpr std::size_t bytes(index_t dim, const attention_room& room) {
    const int width = Products::width_of(static_cast<int>(dim));
    return static_cast<std::size_t>(room.all_operands() * operand_bytes(width) + room.matrices * Products::matrix_bytes +
                                    room.sums * Products::sum_bytes(width) + room.all_numbers() * size * static_cast<int>(sizeof(T)));
  }

  /// `memory` begins at a multiple of 16 bytes. On a device it is of a type that converts to where shared memory begins, so that the
  /// compiler knows what every pointer points to.
  EXPUNGE_DEVICE attention_tile(const Lanes& of, Memory memory, index_t dim, const attention_room& room)
      : lanes(of), memory_(memory), room_(room), dim_(static_cast<int>(dim)), width_(Products::width_of(dim_)) {
    matrices_ = room.all_operands() * operand_bytes(width_);
    sums_ = matrices_ + room.matrices * Products::matrix_bytes;
    numbers_ = sums_ + room.sums * Products::sum_bytes(width_);
  }

  const Lanes& lanes;

  [[nodiscard]] EXPUNGE_DEVICE_INLINE matrix_type matrix(int i) const {
    return Products::make_matrix(place<T>(matrices_ + i * Products::matrix_bytes));
  }
  /// All zeros.
  [[nodiscard]] EXPUNGE_DEVICE_INLINE sum_type sum(int i) const {
    sum_type made = Products::make_sum(place<T>(sums_ + i * Products::sum_bytes(width_)), width_);
    for_sums(size, [&](int) { return [&](int, auto cell) { made[cell] = T{0}; }; });
    return made;
  }

  /// A number for each row of the matrices, which all begin alike; found by the rows that functions of rows get. Is there from a walk's first step on.
  using row_numbers_type = typename Products::row_numbers;
  [[nodiscard]] EXPUNGE_DEVICE_INLINE row_numbers_type row_numbers(int i, T start) const {
    return Products::make_row_numbers(lanes, numbers(i), start);
  }
  /// A number for each row (or column) of the tile that stays, and that a step brings.
  [[nodiscard]] EXPUNGE_DEVICE_INLINE T* numbers(int i) const { return place<T>(numbers_) + i * size; }
  [[nodiscard]] EXPUNGE_DEVICE_INLINE T* moving_numbers(int stage, int i) const { return numbers(room_.numbers + stage * room_.moving_numbers + i); }
  /// The place of an operand that stays, and that a step brings.
  [[nodiscard]] EXPUNGE_DEVICE_INLINE operand_type* operand(int i) const { return place<operand_type>(i * operand_bytes(width_)); }
  [[nodiscard]] EXPUNGE_DEVICE_INLINE operand_type* moving_operand(int stage, int i) const {
    return operand(room_.operands + stage * room_.moving_operands + i);
  }

  /// Brings rows into a place.
  EXPUNGE_DEVICE_INLINE void fetch(const attention_rows<operand_type>& from, operand_type* to) const {
    const int packs = width_ / pack::size, rows_on = lanes.count() / packs, packs_on = lanes.count() % packs;
    const bool whole = Products::whole_packs || (dim_ % pack::size == 0 && from.stride % pack::size == 0 &&
                                                 reinterpret_cast<std::uintptr_t>(from.first) % sizeof(pack) == 0);
    for (int i = lanes.index() / packs, column = lanes.index() % packs; i < size; i += rows_on) {
      const int d = column * pack::size;
      pack& place = *reinterpret_cast<pack*>(to + i * operand_stride(width_) + d);
      const operand_type* const at = from.first + static_cast<index_t>(i) * from.stride + d;
      if (whole) lanes.copy(&place, reinterpret_cast<const pack*>(at), i < from.count && d < dim_);
      else
        for (int u = 0; u < pack::size; ++u) place.at[u] = i < from.count && d + u < dim_ ? at[u] : operand_type{};
      if (packs_on != 0 && (column += packs_on) >= packs) column -= packs, ++i;
    }
  }
  /// Brings from[each * i] for i < count, which is at most `size`.
  EXPUNGE_DEVICE_INLINE void fetch_numbers(const T* from, int each, int count, T* to) const {
    for (int i = lanes.index(); i < size; i += lanes.count()) lanes.copy(to + i, from + static_cast<index_t>(each) * i, i < count);
  }
  /// Calls fetch(stage) for every step and, when what that brings is there, f(stage).
  template <class Fetch, class F>
  EXPUNGE_DEVICE_INLINE void walk(int steps, const Fetch& fetch_step, const F& f) const {
    const int ahead = room_.stages - 1;  // 1 or 0
    if (steps == 0) lanes.arrive();      // what stays is on its way
    for (int next = 0; next < steps + ahead; ++next) {
      lanes.arrive();  // and nobody reads any more what will be overwritten
      if (next < steps) fetch_step(next & ahead);
      if (ahead == 0) lanes.arrive();
      if (next >= ahead) f((next - ahead) & ahead);
    }
  }

  EXPUNGE_DEVICE_INLINE static T max(T x, T y) { return Products::max(x, y); }
  /// exp(scale x - y) to the precision of the products.
  EXPUNGE_DEVICE_INLINE static T exp(T x, T scale, T y) { return Products::exp(x, scale, y); }

  /// m = x y^T, or added to it. Rows of m from x's count on may keep what they had.
  EXPUNGE_DEVICE_INLINE void multiply(const held_rows& x, const held_rows& y, matrix_type& m, bool add = false) const {
    Products::multiply(lanes, x.count, width_, x.at, y.at, operand_stride(width_), m, add);
  }
  /// s += m y
  EXPUNGE_DEVICE_INLINE void combine(const matrix_type& m, const held_rows& y, sum_type& s) const {
    Products::combine(lanes, m, y.count, width_, y.at, operand_stride(width_), s);
  }

  /// Calls row_of(i) for rows of the matrices, and what that gives, f(j, cell), for their elements.
  template <class F>
  EXPUNGE_DEVICE_INLINE void for_scores(const F& row_of) const {
    Products::for_scores(lanes, row_of);
  }
  /// Calls take(i, total) for every row, with the sum of what f gives for its elements: once, or by every thread that has the row's numbers.
  template <class F, class G>
  EXPUNGE_DEVICE_INLINE void sum_rows(const F& row_of, const G& take) const {
    Products::reduce_rows(lanes, T{0}, row_of, [](T a, T b) { return a + b; }, take);
  }
  /// The same with the largest; `least` is where there is none.
  template <class F, class G>
  EXPUNGE_DEVICE_INLINE void largest_of_rows(T least, const F& row_of, const G& take) const {
    Products::reduce_rows(lanes, least, row_of, [](T a, T b) { return max(a, b); }, take);
  }
  /// Calls row_of(i) for the first `count` rows of the sums, and what that gives, f(d, cell), for their elements.
  template <class F>
  EXPUNGE_DEVICE_INLINE void for_sums(int count, const F& row_of) const {
    Products::for_sums(lanes, count, dim_, width_, row_of);
  }
  /// Behind a walk, before for_sums finds a sum that products were combined to: whole only then, where threads share rows of the matrices.
  EXPUNGE_DEVICE_INLINE void gather(sum_type& s) const { Products::gather(lanes, place<T>(0), s); }
  /// Calls f(i) once for every row.
  template <class F>
  EXPUNGE_DEVICE_INLINE void for_rows(const F& f) const {
    Products::for_rows(lanes, f);
  }

 private:
  using pack = element_pack<operand_type>;

  EXPUNGE_DEVICE static constexpr int operand_stride(int width) { return width + Products::padding; }
  EXPUNGE_DEVICE static constexpr int operand_bytes(int width) { return size * operand_stride(width) * static_cast<int>(sizeof(operand_type)); }

  template <class E>
  [[nodiscard]] EXPUNGE_DEVICE_INLINE E* place(int byte) const {
    return reinterpret_cast<E*>(static_cast<unsigned char*>(static_cast<void*>(memory_)) + byte);
  }

  Memory memory_;
  attention_room room_;
  int dim_, width_;
  int matrices_, sums_, numbers_;  // in bytes; operands come first
};

}  // namespace expunge::cuda
