// The arguments of an attention on a device, and a block's view of them: a tile of one head, its products, and what passes share.
#pragma once

#include "expunge/tensor/cuda/attention_tile.hpp"
#include "expunge/tensor/fn.hpp"

namespace expunge::cuda {

/// Null tangents (prefix d) are zero; null cotangent outputs (suffix _bar) are not wanted and have no pass run for them.
template <class T>
struct attention_arguments {
  attention_shape sizes;
  const std::int32_t *offsets, *key_offsets;  // the same but for a value behind a past
  T scale;
  const T *q = nullptr, *k = nullptr, *v = nullptr, *out = nullptr, *lse = nullptr;
  const T *dq = nullptr, *dk = nullptr, *dv = nullptr;
  const T *g = nullptr, *dg = nullptr;                     // the cotangent of out
  T *q_bar = nullptr, *k_bar = nullptr, *v_bar = nullptr;  // or their tangents
  T* stats = nullptr;  // [T, heads, 3]: of a row, sum p ds (tangent passes); delta = sum p p_bar; the tangent of delta
};

/// The operands of an attention's products. Those with even numbers have rows of queries, those with odd numbers of keys
/// (attention_room).
enum class attention_operand { q, k, g, v, dq, dk, dg, dv };

/// A tile of rows of one head, or of the keys that belong to it.
template <class T, class Tile>
struct attention_pass {
  using of = attention_operand;
  using matrix = typename Tile::matrix_type;
  using sum_type = typename Tile::sum_type;
  const attention_arguments<T>& a;
  const Tile& tile;
  attention_tile_place at;

  [[nodiscard]] EXPUNGE_DEVICE int count(index_t first) const { return static_cast<int>(at.end - first < Tile::size ? at.end - first : Tile::size); }
  /// The key of the last query of the tile from q0 on.
  [[nodiscard]] EXPUNGE_DEVICE index_t last_key(index_t q0) const { return q0 + count(q0) - 1 + at.shift; }
  [[nodiscard]] EXPUNGE_DEVICE const T* array(of x) const {
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
  [[nodiscard]] EXPUNGE_DEVICE attention_rows<T> queries(of x, index_t first, index_t head) const {
    return {array(x) + (first * a.sizes.heads + head) * a.sizes.dim, a.sizes.heads * a.sizes.dim, count(first), static_cast<int>(x)};
  }
  [[nodiscard]] EXPUNGE_DEVICE attention_rows<T> keys(of x, index_t first, index_t head) const {
    const auto kv_head = static_cast<std::int32_t>(head) / static_cast<std::int32_t>(a.sizes.heads / a.sizes.kv_heads);
    return {array(x) + (first * a.sizes.kv_heads + kv_head) * a.sizes.dim, a.sizes.kv_heads * a.sizes.dim, count(first - at.shift), static_cast<int>(x)};
  }
  /// To how many keys of the tile from k0 on does query row i of the tile from q0 on attend: the first ones.
  [[nodiscard]] EXPUNGE_DEVICE_INLINE int seen(index_t q0, int i, index_t k0) const {
    return q0 + i < at.end ? in_tile(q0 + i + at.shift - k0 + 1) : 0;
  }
  /// The first query of the tile from q0 on that attends to key row j of the tile from k0 on; with those behind it.
  [[nodiscard]] EXPUNGE_DEVICE_INLINE int first_seeing(index_t q0, int j, index_t k0) const { return in_tile(k0 + j - at.shift - q0); }
  [[nodiscard]] EXPUNGE_DEVICE_INLINE index_t row(index_t q0, int i, index_t head) const { return (q0 + i) * a.sizes.heads + head; }
  /// A number of a row of queries in `values` [T, heads, each]; 0 where there is no such row.
  [[nodiscard]] EXPUNGE_DEVICE_INLINE T of_query(const T* values, int each, index_t q0, int i, index_t head) const {
    return q0 + i < at.end ? values[each * row(q0, i, head)] : T{0};
  }
  /// to[rows of the tile] += factor sum
  EXPUNGE_DEVICE_INLINE void add_to(T* to, index_t heads, index_t head, T factor, const sum_type& sum) const {
    tile.for_sums(count(at.first), [&](int i) {
      return [&, of_row = to + ((at.first + i) * heads + head) * a.sizes.dim](int d, auto cell) { of_row[d] += factor * sum[cell]; };
    });
  }

  /// m = dx y^T + x dy^T, the tangent of x y^T for tiles of the rows from x0 and y0 on; one of x and y is of queries and one of keys.
  EXPUNGE_DEVICE_INLINE void tangent_of_product(of x, of dx, of y, of dy, index_t head, index_t x0, index_t y0, matrix& m) const {
    const bool first = array(dx) != nullptr, second = array(dy) != nullptr;
    if (first) tile.multiply(rows_of(dx, x0, head), rows_of(y, y0, head), m);
    if (second) tile.multiply(rows_of(x, x0, head), rows_of(dy, y0, head), m, first);
    if (!first && !second)
      tile.for_scores([&](int) { return [&](int, auto cell) { m[cell] = T{0}; }; });
  }
  /// q k^T, its tangent, g v^T (the cotangent of the probabilities), and its tangent.
  EXPUNGE_DEVICE_INLINE void products_by_queries(index_t head, index_t q0, index_t k0, matrix& s, matrix& ds, matrix& c, matrix& dc) const {
    tile.multiply(queries(of::q, q0, head), keys(of::k, k0, head), s);
    tangent_of_product(of::q, of::dq, of::k, of::dk, head, q0, k0, ds);
    tile.multiply(queries(of::g, q0, head), keys(of::v, k0, head), c);
    tangent_of_product(of::g, of::dg, of::v, of::dv, head, q0, k0, dc);
  }
  /// From those products: p, its tangent, the cotangent of the scaled score, and its tangent.
  EXPUNGE_DEVICE_INLINE void coefficients(bool visible, T lse, T mean, T delta, T ddelta, T& p, T& dp, T& s, T& ds) const {
    if (!visible) {
      p = dp = s = ds = T{0};
      return;
    }
    p = fn::exp(a.scale * p - lse);
    dp = p * (a.scale * dp - mean);
    const T centred = s - delta;
    ds = dp * centred + p * (ds - ddelta);
    s = p * centred;
  }
  /// Calls f(head, q0) for the tiles of queries that see this tile of keys, for every head of the group.
  template <class F>
  EXPUNGE_DEVICE_INLINE void for_queries_of(index_t kv_head, const F& f) const {
    const index_t group = a.sizes.heads / a.sizes.kv_heads;
    for (index_t head = kv_head * group; head < (kv_head + 1) * group; ++head)
      for (index_t q0 = at.first; q0 < at.end; q0 += Tile::size) f(head, q0);
  }
  EXPUNGE_DEVICE_INLINE void add_to_keys(index_t kv_head, const sum_type& of_k, const sum_type& of_v) const {
    if (a.k_bar != nullptr) add_to(a.k_bar, a.sizes.kv_heads, kv_head, a.scale, of_k);
    if (a.v_bar != nullptr) add_to(a.v_bar, a.sizes.kv_heads, kv_head, T{1}, of_v);
  }

 private:
  [[nodiscard]] EXPUNGE_DEVICE_INLINE attention_rows<T> rows_of(of x, index_t first, index_t head) const {
    return static_cast<int>(x) % 2 == 0 ? queries(x, first, head) : keys(x, first, head);
  }
  EXPUNGE_DEVICE_INLINE static int in_tile(index_t j) { return static_cast<int>(j < 0 ? 0 : j < Tile::size ? j : Tile::size); }
};

}  // namespace expunge::cuda
