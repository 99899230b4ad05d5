// The arguments of an attention on a device, and a block's view of them: a tile of one head, its products, and what passes share.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "expunge/tensor/cuda/attention_tile.hpp"
#include "expunge/tensor/storage.hpp"

namespace expunge::cuda {

/// Null tangents (prefix d) are zero; null cotangent outputs (suffix _bar) are not wanted and have no pass run for them. Operands of
/// products may be of a type of their own.
template <class T, class Operand = T>
struct attention_arguments {
  attention_shape sizes;
  const std::int32_t *offsets, *key_offsets;  // the same but behind a past
  T scale;
  const Operand *q = nullptr, *k = nullptr, *v = nullptr;
  const T *out = nullptr, *lse = nullptr;
  const Operand *dq = nullptr, *dk = nullptr, *dv = nullptr;
  const T *dout = nullptr, *dlse = nullptr;
  const Operand *g = nullptr, *dg = nullptr;  // the cotangent of out, and its tangent
  destination<T> q_bar{}, k_bar{}, v_bar{};   // or their tangents
  T *delta = nullptr, *ddelta = nullptr;      // [T, heads]: g . out of a row, and in tangent passes its tangent
};

/// The operands of an attention's products. Those with even numbers have rows of queries, those with odd numbers of keys.
enum class attention_operand { q, k, g, v, dq, dk, dg, dv };

/// The numbers of a row of queries.
enum attention_number { number_lse, number_delta, number_dlse, number_ddelta };

/// A tile of rows of one head, or of the keys that belong to it.
template <class T, class Tile>
struct attention_pass {
  using of = attention_operand;
  using matrix = typename Tile::matrix_type;
  using sum_type = typename Tile::sum_type;
  using operand = typename Tile::operand_type;
  using held = typename Tile::held_rows;
  const attention_arguments<T, operand>& a;
  const Tile& tile;
  attention_tile_place at;

  [[nodiscard]] EXPUNGE_DEVICE int count(index_t first) const { return static_cast<int>(at.end - first < Tile::size ? at.end - first : Tile::size); }
  /// The key of the last query of the tile from q0 on.
  [[nodiscard]] EXPUNGE_DEVICE index_t last_key(index_t q0) const { return q0 + count(q0) - 1 + at.shift; }
  /// To how many keys of the tile from k0 on does query row i of the tile from q0 on attend: the first ones.
  [[nodiscard]] EXPUNGE_DEVICE_INLINE int seen(index_t q0, int i, index_t k0) const {
    return q0 + i < at.end ? in_tile(q0 + i + at.shift - k0 + 1) : 0;
  }
  /// The first query of the tile from q0 on that attends to key row j of the tile from k0 on; with those behind it.
  [[nodiscard]] EXPUNGE_DEVICE_INLINE int first_seeing(index_t q0, int j, index_t k0) const { return in_tile(k0 + j - at.shift - q0); }
  /// Calls f with whether all queries of the tile from q0 on see all keys of the tile from k0 on, as a constant: then nothing need be masked.
  template <class F>
  EXPUNGE_DEVICE_INLINE void by_visibility(index_t q0, index_t k0, const F& f) const {
    if (q0 + Tile::size <= at.end_query && k0 + Tile::size - 1 <= q0 + at.shift) f(std::true_type{});
    else f(std::false_type{});
  }
  [[nodiscard]] EXPUNGE_DEVICE_INLINE index_t row(index_t q0, int i, index_t head) const { return (q0 + i) * a.sizes.heads + head; }
  /// Puts factor sum to the rows of the tile.
  EXPUNGE_DEVICE_INLINE void put(const destination<T>& to, index_t heads, index_t head, T factor, sum_type& sum) const {
    tile.gather(sum);
    tile.for_sums(count(at.first), [&](int i) {
      return [&, of_row = to.at + ((at.first + i) * heads + head) * a.sizes.dim](int d, auto cell) {
        of_row[d] = (to.empty ? T{0} : of_row[d]) + factor * sum[cell];
      };
    });
  }

  // A head is one of queries or of keys, as the operand's rows are.

  /// The tile's own rows of an operand, which stay in place `i`, and the first `Count` numbers of its rows; there from a walk's first step on.
  [[nodiscard]] EXPUNGE_DEVICE_INLINE held own(int i, of x, index_t head) const {
    if (there(x)) tile.fetch(rows_of(x, at.first, at.end, head), tile.operand(i));
    return {tile.operand(i), count(at.first), there(x)};
  }
  template <int Count>
  EXPUNGE_DEVICE_INLINE void own_numbers(index_t head) const {
    fetch_numbers<Count>(row(at.first, 0, head), count(at.first), [&](int i) { return tile.numbers(i); });
  }
  /// Calls f(k0, operands...) for the tiles of keys that this tile of queries attends to.
  template <of... Moving, class F>
  EXPUNGE_DEVICE_INLINE void for_keys(index_t head, const F& f) const {
    const int tiles = static_cast<int>((last_key(at.first) - at.first_key) / Tile::size) + 1;
    walk<0, Moving...>({at.first_key, at.end + at.shift, tiles, static_cast<std::int32_t>(head) / group(), 1},
                       [&](index_t k0, const auto&, const auto&... operands) { f(k0, operands...); });
  }
  /// Calls f(q0, numbers, operands...) for the tiles of queries that see this tile of keys, for every head of its group; numbers(n) are
  /// those of the queries, n < Numbers.
  template <int Numbers, of... Moving, class F>
  EXPUNGE_DEVICE_INLINE void for_queries(index_t kv_head, const F& f) const {
    const index_t seeing = at.first - at.shift, first = seeing > at.first_query ? seeing : at.first_query;
    const int tiles = static_cast<int>((at.end_query - first + Tile::size - 1) / Tile::size);
    walk<Numbers, Moving...>({first, at.end_query, tiles, kv_head * group(), group()}, f);
  }

  /// m = dx y^T + x dy^T, the tangent of x y^T.
  EXPUNGE_DEVICE_INLINE void tangent_of_product(const held& x, const held& dx, const held& y, const held& dy, matrix& m) const {
    const bool first = dx.there, second = dy.there;
    if (first) tile.multiply(dx, y, m);
    if (second) tile.multiply(x, dy, m, first);
    if (!first && !second)
      tile.for_scores([&](int) { return [&](int, auto cell) { m[cell] = T{0}; }; });
  }
  /// The probability of a score that is not scaled yet; 0 where it is not seen. Computed everywhere: a branch would wait for every exponential.
  EXPUNGE_DEVICE_INLINE T probability(bool visible, T score, T lse) const { return only(visible, Tile::exp(score, a.scale, lse)); }
  EXPUNGE_DEVICE_INLINE static T only(bool visible, T x) { return visible ? x : T{0}; }
  /// From q k^T, its tangent, g v^T (the cotangent of the probabilities) and its tangent: p, its tangent, the cotangent of the scaled score,
  /// and its tangent.
  EXPUNGE_DEVICE_INLINE void coefficients(bool visible, T lse, T dlse, T delta, T ddelta, T& p, T& dp, T& s, T& ds) const {
    const T probable = probability(visible, p, lse), tangent = probable * (a.scale * dp - dlse), centred = s - delta;
    p = probable;
    dp = only(visible, tangent);
    ds = only(visible, tangent * centred + probable * (ds - ddelta));
    s = only(visible, probable * centred);
  }
  EXPUNGE_DEVICE_INLINE void put_keys(index_t kv_head, sum_type& of_k, sum_type& of_v) const {
    if (a.k_bar.at != nullptr) put(a.k_bar, a.sizes.kv_heads, kv_head, a.scale, of_k);
    if (a.v_bar.at != nullptr) put(a.v_bar, a.sizes.kv_heads, kv_head, T{1}, of_v);
  }

 private:
  [[nodiscard]] EXPUNGE_DEVICE const operand* array(of x) const {
    switch (x) {
      case of::q: return a.q;
      case of::k: return a.k;
      case of::g: return a.g;
      case of::v: return a.v;
      case of::dq: return a.dq;
      case of::dk: return a.dk;
      case of::dg: return a.dg;
      default: return a.dv;
    }
  }
  [[nodiscard]] EXPUNGE_DEVICE static constexpr bool is_of_queries(of x) { return static_cast<int>(x) % 2 == 0; }
  [[nodiscard]] EXPUNGE_DEVICE_INLINE std::int32_t group() const {
    return static_cast<std::int32_t>(a.sizes.heads) / static_cast<std::int32_t>(a.sizes.kv_heads);
  }
  /// Only tangents may be absent.
  [[nodiscard]] EXPUNGE_DEVICE_INLINE bool there(of x) const { return x < of::dq || array(x) != nullptr; }
  [[nodiscard]] EXPUNGE_DEVICE_INLINE int stride(of x) const { return static_cast<int>((is_of_queries(x) ? a.sizes.heads : a.sizes.kv_heads) * a.sizes.dim); }
  /// The tile's rows from row `first` on, of the rows that end before `end`.
  [[nodiscard]] EXPUNGE_DEVICE_INLINE attention_rows<operand> rows_of(of x, index_t first, index_t end, index_t head) const {
    return {array(x) + first * stride(x) + head * a.sizes.dim, stride(x), at_most_a_tile(end - first)};
  }
  template <int Count, class Place>
  EXPUNGE_DEVICE_INLINE void fetch_numbers(index_t first, int count, const Place& place) const {
    for (int n = 0; n < Count; ++n) {
      const T* const all = n == number_lse ? a.lse : n == number_delta ? a.delta : n == number_dlse ? a.dlse : a.ddelta;
      tile.fetch_numbers(all + first, static_cast<int>(a.sizes.heads), count, place(n));
    }
  }

  /// For each of `heads` heads from `head` on `tiles` tiles from row `first` on, of the rows that end before `end`.
  struct way {
    index_t first, end;
    int tiles;
    index_t head;
    int heads;
  };
  /// Where a walk is on its way.
  struct way_place {
    int tile = 0, head = 0;
    EXPUNGE_DEVICE_INLINE void step(const way& on) {
      if (++tile == on.tiles) tile = 0, ++head;
    }
  };
  template <int Numbers, of... Moving, class F>
  EXPUNGE_DEVICE_INLINE void walk(const way& on, const F& f) const {
    [&]<int... I>(std::integer_sequence<int, I...>) {
      way_place coming, present;
      const auto rows_left = [&](const way_place& to) { return at_most_a_tile(on.end - on.first - static_cast<index_t>(to.tile) * Tile::size); };
      tile.walk(
          on.tiles * on.heads,
          [&](int stage) {
            const int count = rows_left(coming);
            const auto fetch = [&](of x, int i) {
              if (!there(x)) return;
              const operand* const begin = rows_of(x, on.first, on.end, on.head).first;  // the same at each step
              const index_t further = static_cast<index_t>(coming.tile) * (Tile::size * stride(x)) + coming.head * static_cast<int>(a.sizes.dim);
              tile.fetch({begin + further, stride(x), count}, tile.moving_operand(stage, i));
            };
            (fetch(Moving, I), ...);
            fetch_numbers<Numbers>(row(on.first + static_cast<index_t>(coming.tile) * Tile::size, 0, on.head + coming.head), count,
                                   [&](int i) { return tile.moving_numbers(stage, i); });
            coming.step(on);
          },
          [&](int stage) {
            f(on.first + static_cast<index_t>(present.tile) * Tile::size, [&](int i) { return tile.moving_numbers(stage, i); },
              held{tile.moving_operand(stage, I), rows_left(present), there(Moving)}...);
            present.step(on);
          });
    }(std::make_integer_sequence<int, sizeof...(Moving)>{});
  }
  EXPUNGE_DEVICE_INLINE static int at_most_a_tile(index_t rows) { return static_cast<int>(rows < Tile::size ? rows : Tile::size); }
  EXPUNGE_DEVICE_INLINE static int in_tile(index_t j) { return static_cast<int>(j < 0 ? 0 : j < Tile::size ? j : Tile::size); }
};

}  // namespace expunge::cuda
