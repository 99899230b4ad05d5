// The threads of a block at work on a tile of queries and a tile of keys of one head: operands, products, sums and loops over scores.
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
  int operands, matrices, sums, rows;
};

/// The working memory of a block and what its threads do with it. Products says how operands are held and multiplied, and where score
/// matrices [size, size] and sums [size, dim] live: in working memory (attention_products.hpp) or in registers
/// (include/expunge/cuda/attention_products.cuh). Every thread of the block calls every member function; each sees to the barriers that
/// what it reads and what comes after it need. Functions of cells get a row or column of the matrix and the cell, by which a thread
/// finds an element of any matrix or sum.
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

  /// Bytes of working memory for head dimension `dim`.
  EXPUNGE_DEVICE static constexpr std::size_t bytes(index_t dim, const attention_room& room) {
    const int width = Products::width_of(static_cast<int>(dim));
    return static_cast<std::size_t>(room.operands * operand_bytes(width) + room.matrices * Products::matrix_bytes + room.sums * Products::sum_bytes(width) +
                                    room.rows * size * static_cast<int>(sizeof(T)));
  }

  /// `memory` begins at a multiple of 16 bytes. On a device it is of a type that converts to where shared memory begins, so that the
  /// compiler knows what every pointer points to.
  EXPUNGE_DEVICE attention_tile(const Lanes& of, Memory memory, index_t dim, const attention_room& room)
      : lanes(of), memory_(memory), places_(room.operands), dim_(static_cast<int>(dim)), width_(Products::width_of(dim_)) {
    matrices_ = places_ * operand_bytes(width_);
    sums_ = matrices_ + room.matrices * Products::matrix_bytes;
    rows_ = sums_ + room.sums * Products::sum_bytes(width_);
    const int packs = width_ / pack::size;
    first_row_ = lanes.index() / packs, first_pack_ = lanes.index() % packs;
    rows_on_ = lanes.count() / packs, packs_on_ = lanes.count() % packs;
  }

  const Lanes& lanes;

  [[nodiscard]] EXPUNGE_DEVICE_INLINE matrix_type matrix(int i) const { return Products::make_matrix(place<T>(matrices_ + i * Products::matrix_bytes)); }
  /// All zeros.
  [[nodiscard]] EXPUNGE_DEVICE_INLINE sum_type sum(int i) const {
    sum_type made = Products::make_sum(place<T>(sums_ + i * Products::sum_bytes(width_)), width_);
    for_sums(size, [&](int) { return [&](int, auto cell) { made[cell] = T{0}; }; });
    return made;
  }
  /// A number for each row (or column) of the tile.
  [[nodiscard]] EXPUNGE_DEVICE_INLINE T* row(int i) const { return place<T>(rows_) + i * size; }

  /// m = x y^T, or added to it. Rows of m from x's count on may keep what they had.
  EXPUNGE_DEVICE_INLINE void multiply(const attention_rows<T>& x, const attention_rows<T>& y, matrix_type& m, bool add = false) const {
    const bool loaded = load(x), more = load(y);
    if (loaded || more) lanes.sync();
    Products::multiply(lanes, x.count, width_, operand(x), operand(y), operand_stride(width_), m, add);
  }
  /// s += m y
  EXPUNGE_DEVICE_INLINE void combine(const matrix_type& m, const attention_rows<T>& y, sum_type& s) const {
    if (load(y)) lanes.sync();
    Products::combine(lanes, m, y.count, width_, operand(y), operand_stride(width_), s);
  }

  /// Calls row_of(i) for rows of the matrices, and what that gives, f(j, cell), for their elements.
  template <class F>
  EXPUNGE_DEVICE_INLINE void for_scores(const F& row_of) const {
    Products::for_scores(lanes, row_of);
  }
  /// Calls take(i, total) once for every row, with the sum of what f gives for its elements.
  template <class F, class G>
  EXPUNGE_DEVICE_INLINE void sum_rows(const F& row_of, const G& take) const {
    Products::reduce_rows(lanes, T{0}, row_of, [](T a, T b) { return a + b; }, take);
  }
  /// The same with the largest; `least` is where there is none.
  template <class F, class G>
  EXPUNGE_DEVICE_INLINE void largest_of_rows(T least, const F& row_of, const G& take) const {
    Products::reduce_rows(lanes, least, row_of, [](T a, T b) { return a > b ? a : b; }, take);
  }
  /// Calls row_of(i) for the first `count` rows of the sums, and what that gives, f(d, cell), for their elements.
  template <class F>
  EXPUNGE_DEVICE_INLINE void for_sums(int count, const F& row_of) const {
    Products::for_sums(lanes, count, dim_, width_, row_of);
  }
  /// Calls f(i) once for every row; afterwards every thread sees what that wrote.
  template <class F>
  EXPUNGE_DEVICE_INLINE void for_rows(const F& f) const {
    lanes.sync();
    for (int i = lanes.index(); i < size; i += lanes.count()) f(i);
    lanes.sync();
  }

 private:
  using pack = element_pack<T>;

  EXPUNGE_DEVICE static constexpr int operand_stride(int width) { return width + Products::padding; }
  EXPUNGE_DEVICE static constexpr int operand_bytes(int width) { return size * operand_stride(width) * static_cast<int>(sizeof(operand_type)); }
  [[nodiscard]] EXPUNGE_DEVICE_INLINE int number(const attention_rows<T>& of) const { return of.place & (places_ - 1); }
  [[nodiscard]] EXPUNGE_DEVICE_INLINE operand_type* operand(const attention_rows<T>& of) const {
    return place<operand_type>(0) + number(of) * size * operand_stride(width_);
  }

  /// Loads the rows into working memory, up to the next barrier, where they are not there; says whether it did.
  EXPUNGE_DEVICE_INLINE bool load(const attention_rows<T>& from) const {
    if (held_[number(from)] == from.first) return false;
    held_[number(from)] = from.first;
    lanes.sync();  // nobody reads any more what was there
    operand_type* const to = operand(from);
    const int packs = width_ / pack::size;
    const bool whole = dim_ % pack::size == 0 && from.stride % pack::size == 0 && reinterpret_cast<std::uintptr_t>(from.first) % sizeof(pack) == 0;
    constexpr int together = 4;  // loads on their way at once
    for (int i = first_row_, column = first_pack_; i < size;) {
      pack loaded[together];
      int rows[together], columns[together];
      for (int u = 0; u < together; ++u) {
        rows[u] = i, columns[u] = column * pack::size;
        loaded[u] = fetch(from, whole, rows[u], columns[u]);
        i += rows_on_, column += packs_on_;
        if (column >= packs) column -= packs, ++i;
      }
      for (int u = 0; u < together; ++u)
        if (rows[u] < size) Products::hold(loaded[u], to + rows[u] * operand_stride(width_) + columns[u]);
    }
    return true;
  }

  [[nodiscard]] EXPUNGE_DEVICE_INLINE pack fetch(const attention_rows<T>& from, bool whole, int i, int d) const {
    pack loaded{};
    if (i >= from.count || d >= dim_) return loaded;
    const T* const at = from.first + i * from.stride + d;
    if (whole) return *reinterpret_cast<const pack*>(at);
    for (int u = 0; u < pack::size; ++u) loaded.at[u] = d + u < dim_ ? at[u] : T{0};
    return loaded;
  }

  template <class E>
  [[nodiscard]] EXPUNGE_DEVICE_INLINE E* place(int byte) const {
    return reinterpret_cast<E*>(static_cast<unsigned char*>(static_cast<void*>(memory_)) + byte);
  }

  Memory memory_;
  int places_, dim_, width_;
  int matrices_, sums_, rows_;                         // in bytes; operands come first
  int first_row_, first_pack_, rows_on_, packs_on_;  // of an operand's packs, those that this thread loads
  mutable const T* held_[8] = {};                      // what the places of operands hold
};

}  // namespace expunge::cuda
