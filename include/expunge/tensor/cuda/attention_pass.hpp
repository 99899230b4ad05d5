// The arguments of an attention on a device, and a block's view of them: a tile of one head, its products, and what passes share.
#pragma once

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
  const std::int32_t *offsets, *key_offsets;  // the same but for a value behind a past
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
    if (q0 + Tile::size <= at.end && k0 + Tile::size - 1 <= q0 + at.shift) f(std::true_type{});
    else f(std::false_type{});
  }
  [[nodiscard]] EXPUNGE_DEVICE_INLINE index_t row(index_t q0, int i, index_t head) const { return (q0 + i) * a.sizes.heads + head; }
  /// Puts factor sum to the rows of the tile.
  EXPUNGE_DEVICE_INLINE void put(const destination<T>& to, index_t heads, index_t head, T factor, const sum_type& sum) const {
    tile.for_sums(count(at.first), [&](int i) {
      return [&, of_row = to.at + ((at.first + i) * heads + head) * a.sizes.dim](int d, auto cell) {
        of_row[d] = (to.empty ? T{0} : of_row[d]) + factor * sum[cell];
      };
    });
  }

  // A head is one of queries or of keys, as the operand's rows are.

  /// The tile's own rows of an operand, which stay in place `i`, and the first `Count` numbers of its rows; there from a walk's first step on.
  [[nodiscard]] EXPUNGE_DEVICE_INLINE held own(int i, of x, index_t head) const {
    tile.fetch(rows_of(x, at.first, head), tile.operand(i));
    return held_rows_of(x, at.first, tile.operand(i));
  }
  template <int Count>
  EXPUNGE_DEVICE_INLINE void own_numbers(index_t head) const {
    fetch_numbers<Count>(at.first, head, [&](int i) { return tile.numbers(i); });
  }
  /// Calls f(k0, operands...) for the tiles of keys that this tile of queries attends to.
  template <of... Moving, class F>
  EXPUNGE_DEVICE_INLINE void for_keys(index_t head, const F& f) const {
    const int steps = static_cast<int>((last_key(at.first) - at.first_key) / Tile::size) + 1;
    const index_t kv_head = static_cast<std::int32_t>(head) / group();
    walk<0, Moving...>(steps, [&](int step) { return step_place{at.first_key + step * Tile::size, kv_head}; },
                       [&](index_t k0, const auto&, const auto&... operands) { f(k0, operands...); });
  }
  /// Calls f(q0, numbers, operands...) for the tiles of queries that see this tile of keys, for every head of its group; numbers(n) are
  /// those of the queries, n < Numbers.
  template <int Numbers, of... Moving, class F>
  EXPUNGE_DEVICE_INLINE void for_queries(index_t kv_head, const F& f) const {
    const int tiles = static_cast<int>((at.end - at.first + Tile::size - 1) / Tile::size);
    const index_t head = kv_head * group();
    walk<Numbers, Moving...>(group() * tiles, [&](int step) { return step_place{at.first + step % tiles * Tile::size, head + step / tiles}; }, f);
  }

  /// m = dx y^T + x dy^T, the tangent of x y^T.
  EXPUNGE_DEVICE_INLINE void tangent_of_product(const held& x, const held& dx, const held& y, const held& dy, matrix& m) const {
    const bool first = dx.at != nullptr, second = dy.at != nullptr;
    if (first) tile.multiply(dx, y, m);
    if (second) tile.multiply(x, dy, m, first);
    if (!first && !second)
      tile.for_scores([&](int) { return [&](int, auto cell) { m[cell] = T{0}; }; });
  }
  /// The probability of a score that is not scaled yet; 0 where it is not seen. Computed everywhere: a branch would wait for every exponential.
  EXPUNGE_DEVICE_INLINE T probability(bool visible, T score, T lse) const { return only(visible, Tile::exp(a.scale * score - lse)); }
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
  EXPUNGE_DEVICE_INLINE void put_keys(index_t kv_head, const sum_type& of_k, const sum_type& of_v) const {
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
  [[nodiscard]] EXPUNGE_DEVICE_INLINE attention_rows<operand> rows_of(of x, index_t first, index_t head) const {
    const operand* const all = array(x);
    if (all == nullptr) return {nullptr, 0, 0};
    const index_t heads = is_of_queries(x) ? a.sizes.heads : a.sizes.kv_heads;
    return {all + (first * heads + head) * a.sizes.dim, heads * a.sizes.dim, rows_from(x, first)};
  }
  [[nodiscard]] EXPUNGE_DEVICE_INLINE held held_rows_of(of x, index_t first, const operand* place) const {
    return {array(x) == nullptr ? nullptr : place, rows_from(x, first)};
  }
  [[nodiscard]] EXPUNGE_DEVICE_INLINE int rows_from(of x, index_t first) const { return count(is_of_queries(x) ? first : first - at.shift); }

  template <int Count, class Place>
  EXPUNGE_DEVICE_INLINE void fetch_numbers(index_t q0, index_t head, const Place& place) const {
    for (int n = 0; n < Count; ++n) {
      const T* const all = n == number_lse ? a.lse : n == number_delta ? a.delta : n == number_dlse ? a.dlse : a.ddelta;
      tile.fetch_numbers(all + row(q0, 0, head), a.sizes.heads, count(q0), place(n));
    }
  }

  struct step_place {
    index_t first, head;
  };
  template <int Numbers, of... Moving, class Where, class F>
  EXPUNGE_DEVICE_INLINE void walk(int steps, const Where& where, const F& f) const {
    [&]<int... I>(std::integer_sequence<int, I...>) {
      tile.walk(
          steps,
          [&](int step, int stage) {
            const step_place to = where(step);
            (tile.fetch(rows_of(Moving, to.first, to.head), tile.moving_operand(stage, I)), ...);
            fetch_numbers<Numbers>(to.first, to.head, [&](int i) { return tile.moving_numbers(stage, i); });
          },
          [&](int step, int stage) {
            const index_t first = where(step).first;
            f(first, [&](int i) { return tile.moving_numbers(stage, i); }, held_rows_of(Moving, first, tile.moving_operand(stage, I))...);
          });
    }(std::make_integer_sequence<int, sizeof...(Moving)>{});
  }
  EXPUNGE_DEVICE_INLINE static int in_tile(index_t j) { return static_cast<int>(j < 0 ? 0 : j < Tile::size ? j : Tile::size); }
};

}  // namespace expunge::cuda
