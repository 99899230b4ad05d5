// The arguments of an attention on a device, and a block's view of them: a tile of one head, its probabilities and products.
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
  [[nodiscard]] EXPUNGE_DEVICE int seen(index_t q0, int i, index_t k0) const {
    const index_t most = q0 + i < at.end ? q0 + i + at.shift - k0 + 1 : 0;
    return static_cast<int>(most < 0 ? 0 : most < Tile::size ? most : Tile::size);
  }
  [[nodiscard]] EXPUNGE_DEVICE index_t row(index_t q0, int i, index_t head) const { return (q0 + i) * a.sizes.heads + head; }
  /// to[rows of the tile] += factor sum
  EXPUNGE_DEVICE void add_to(T* to, index_t heads, index_t head, T factor, const T* sum) const {
    tile.for_sums(count(at.first), [&](int i) {
      T* const of_row = to + ((at.first + i) * heads + head) * a.sizes.dim;
      return [=](int d, int k) { of_row[d] += factor * sum[k]; };
    });
  }

  /// s = factor q k^T
  EXPUNGE_DEVICE void scaled_scores(index_t head, index_t q0, index_t k0, T* s) const {
    tile.multiply(queries(of::q, q0, head), keys(of::k, k0, head), a.scale, s);
  }
  /// s = factor (dx y^T + x dy^T), the tangent of factor x y^T.
  EXPUNGE_DEVICE void product_tangent(of x, of dx, of y, of dy, T factor, index_t head, index_t q0, index_t k0, T* s) const {
    const bool first = array(dx) != nullptr, second = array(dy) != nullptr;
    if (first) tile.multiply(queries(dx, q0, head), keys(y, k0, head), factor, s);
    if (second) tile.multiply(queries(x, q0, head), keys(dy, k0, head), factor, s, first);
    if (!first && !second)
      tile.for_scores([&](int) { return [=](int, int k) { s[k] = T{0}; }; });
  }
  /// Sums over the query tiles that see this tile of keys, for every head of the group, then adds to k_bar and v_bar.
  template <class F>
  EXPUNGE_DEVICE void for_queries_of(index_t kv_head, const F& f) const {
    const index_t group = a.sizes.heads / a.sizes.kv_heads;
    tile.clear(tile.sums(0));
    tile.clear(tile.sums(1));
    for (index_t head = kv_head * group; head < (kv_head + 1) * group; ++head)
      for (index_t q0 = at.first; q0 < at.end; q0 += Tile::size) f(head, q0);
    if (a.k_bar != nullptr) add_to(a.k_bar, a.sizes.kv_heads, kv_head, a.scale, tile.sums(0));
    if (a.v_bar != nullptr) add_to(a.v_bar, a.sizes.kv_heads, kv_head, T{1}, tile.sums(1));
  }
};

}  // namespace expunge::cuda
