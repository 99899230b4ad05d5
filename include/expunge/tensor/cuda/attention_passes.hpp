// Ragged causal attention in flash style: each pass is what one block of threads does for one tile of one head. Scores live with the
// block; the probabilities are recomputed from the saved log-sum-exp. See host/attention.hpp for the arguments; the formulas are those
// of its kernels, with the sums over a row's keys (or a key's queries) gathered tile by tile.
#pragma once

#include <limits>

#include "expunge/tensor/cuda/attention_pass.hpp"
#include "expunge/tensor/fn.hpp"

namespace expunge::cuda {

template <class T, class Tile>
struct attention_passes : attention_pass<T, Tile> {
  using base = attention_pass<T, Tile>;
  using of = attention_operand;
  using matrix = typename Tile::matrix_type;
  using sum_type = typename Tile::sum_type;
  using base::a, base::tile, base::at, base::add_to, base::add_to_keys, base::count, base::first_seeing, base::for_queries_of,
      base::keys, base::last_key, base::of_query, base::products_by_queries, base::queries, base::row, base::seen, base::tangent_of_product;

  static constexpr T least = std::numeric_limits<T>::lowest();
  static constexpr attention_room forward_room{2, 1, 1, 3};
  /// The value: running maximum and sum of each row (Milakov and Gimelshein 2018).
  EXPUNGE_DEVICE_INLINE void forward(index_t head, T* out, T* lse) const {
    T *const largest = tile.row(0), *const total = tile.row(1), *const shrink = tile.row(2);
    const T scale = a.scale;
    const index_t q0 = at.first, last = last_key(q0);
    sum_type sum = tile.sum(0);
    matrix s = tile.matrix(0);
    tile.for_rows([&](int i) { largest[i] = least, total[i] = T{0}; });
    for (index_t k0 = at.first_key; k0 <= last; k0 += Tile::size) {
      tile.multiply(queries(of::q, q0, head), keys(of::k, k0, head), s);
      tile.largest_of_rows(
          least, [&](int i) { return [&, visible = seen(q0, i, k0)](int j, auto cell) { return j < visible ? scale * s[cell] : least; }; },
          [&](int i, T most) {
            const T before = largest[i], now = fn::max(before, most);
            shrink[i] = fn::exp(before - now);
            largest[i] = now;
          });
      tile.sum_rows(
          [&](int i) {
            return [&, visible = seen(q0, i, k0), most = largest[i]](int j, auto cell) {
              return s[cell] = j < visible ? fn::exp(scale * s[cell] - most) : T{0};
            };
          },
          [&](int i, T more) { total[i] = total[i] * shrink[i] + more; });
      tile.for_sums(Tile::size, [&](int i) { return [&, by = shrink[i]](int, auto cell) { sum[cell] *= by; }; });
      tile.combine(s, keys(of::v, k0, head), sum);
    }
    tile.for_sums(count(q0), [&](int i) {
      return [&, to = out + row(q0, i, head) * a.sizes.dim, by = T{1} / total[i]](int d, auto cell) { to[d] = sum[cell] * by; };
    });
    tile.for_rows([&](int i) {
      if (q0 + i < at.end) lse[row(q0, i, head)] = largest[i] + fn::log(total[i]);
    });
  }

  static constexpr attention_room pushforward_room{4, 2, 1, 1};
  /// dout = sum_j p ds v_j + p dv_j - mean out with mean = sum_j p ds.
  EXPUNGE_DEVICE_INLINE void pushforward(index_t head, T* dout) const {
    T* const mean = tile.row(0);
    const T scale = a.scale;
    const index_t q0 = at.first;
    sum_type sum = tile.sum(0);
    matrix p = tile.matrix(0), ds = tile.matrix(1);
    tile.for_rows([&](int i) { mean[i] = T{0}; });
    for (index_t k0 = at.begin; k0 <= q0; k0 += Tile::size) {
      tile.multiply(queries(of::q, q0, head), keys(of::k, k0, head), p);
      tangent_of_product(of::q, of::dq, of::k, of::dk, head, q0, k0, ds);
      tile.sum_rows(
          [&](int i) {
            return [&, visible = seen(q0, i, k0), lse = of_query(a.lse, 1, q0, i, head)](int j, auto cell) {
              p[cell] = j < visible ? fn::exp(scale * p[cell] - lse) : T{0};
              return ds[cell] = j < visible ? p[cell] * scale * ds[cell] : T{0};
            };
          },
          [&](int i, T more) { mean[i] += more; });
      if (a.dv != nullptr) tile.combine(p, keys(of::dv, k0, head), sum);
      tile.combine(ds, keys(of::v, k0, head), sum);
    }
    tile.for_sums(count(q0), [&](int i) {
      const index_t begin = row(q0, i, head) * a.sizes.dim;
      return [&, to = dout + begin, of_out = a.out + begin, of_row = mean[i]](int d, auto cell) { to[d] = sum[cell] - of_row * of_out[d]; };
    });
  }

  static constexpr attention_room pullback_stats_room{0, 0, 0, 0};
  /// stats[1] of each row: delta = g . out, for the pullback.
  EXPUNGE_DEVICE void pullback_stats(index_t head) const {
    constexpr int team = Tile::lanes_type::team;
    for (int item = tile.lanes.index(); item < Tile::size * team; item += tile.lanes.count()) {
      const bool there = at.first + item / team < at.end;
      const index_t r = row(at.first, item / team, head), begin = r * a.sizes.dim;
      T delta = 0;
      for (index_t d = item % team; there && d < a.sizes.dim; d += team) delta += a.g[begin + d] * a.out[begin + d];
      delta = tile.lanes.team_reduce(delta, [](T x, T y) { return x + y; });
      if (there && item % team == 0) a.stats[3 * r + 1] = delta;
    }
  }
  static constexpr attention_room pullback_queries_room{4, 2, 1, 0};
  EXPUNGE_DEVICE_INLINE void pullback_queries(index_t head) const {
    const T scale = a.scale;
    const index_t q0 = at.first;
    sum_type sum = tile.sum(0);
    matrix p = tile.matrix(0), s = tile.matrix(1);
    for (index_t k0 = at.begin; k0 <= q0; k0 += Tile::size) {
      tile.multiply(queries(of::q, q0, head), keys(of::k, k0, head), p);
      tile.multiply(queries(of::g, q0, head), keys(of::v, k0, head), s);
      tile.for_scores([&](int i) {
        return [&, visible = seen(q0, i, k0), lse = of_query(a.lse, 1, q0, i, head), delta = of_query(a.stats + 1, 3, q0, i, head)](int j, auto cell) {
          s[cell] = j < visible ? fn::exp(scale * p[cell] - lse) * (s[cell] - delta) : T{0};
        };
      });
      tile.combine(s, keys(of::k, k0, head), sum);
    }
    add_to(a.q_bar, a.sizes.heads, head, scale, sum);
  }
  static constexpr attention_room pullback_keys_room{4, 2, 2, 2};
  EXPUNGE_DEVICE_INLINE void pullback_keys(index_t kv_head) const {
    T *const lse = tile.row(0), *const delta = tile.row(1);
    const T scale = a.scale;
    const index_t k0 = at.first;
    sum_type of_k = tile.sum(0), of_v = tile.sum(1);
    matrix p = tile.matrix(0), s = tile.matrix(1);
    for_queries_of(kv_head, [&](index_t head, index_t q0) {
      tile.multiply(keys(of::k, k0, head), queries(of::q, q0, head), p);
      tile.multiply(keys(of::v, k0, head), queries(of::g, q0, head), s);
      tile.for_rows([&](int i) { lse[i] = of_query(a.lse, 1, q0, i, head), delta[i] = of_query(a.stats + 1, 3, q0, i, head); });
      tile.for_scores([&](int j) {
        return [&, from = first_seeing(q0, j, k0), to = count(q0)](int i, auto cell) {
          const bool sees = from <= i && i < to;
          p[cell] = sees ? fn::exp(scale * p[cell] - lse[i]) : T{0};
          s[cell] = sees ? p[cell] * (s[cell] - delta[i]) : T{0};
        };
      });
      if (a.v_bar != nullptr) tile.combine(p, queries(of::g, q0, head), of_v);
      if (a.k_bar != nullptr) tile.combine(s, queries(of::q, q0, head), of_k);
    });
    add_to_keys(kv_head, of_k, of_v);
  }

  static constexpr attention_room tangent_stats_room{8, 4, 0, 3};
  /// All stats of each row, for the pullback's tangent.
  EXPUNGE_DEVICE_INLINE void tangent_stats(index_t head) const {
    T *const mean = tile.row(0), *const delta = tile.row(1), *const ddelta = tile.row(2);
    const T scale = a.scale;
    const index_t q0 = at.first;
    matrix p = tile.matrix(0), ds = tile.matrix(1), c = tile.matrix(2), dc = tile.matrix(3);
    tile.for_rows([&](int i) { mean[i] = delta[i] = ddelta[i] = T{0}; });
    for (index_t k0 = at.begin; k0 <= q0; k0 += Tile::size) {
      products_by_queries(head, q0, k0, p, ds, c, dc);
      tile.sum_rows(
          [&](int i) {
            return [&, visible = seen(q0, i, k0), lse = of_query(a.lse, 1, q0, i, head)](int j, auto cell) {
              p[cell] = j < visible ? fn::exp(scale * p[cell] - lse) : T{0};
              ds[cell] = j < visible ? scale * ds[cell] : T{0};
              return p[cell] * ds[cell];
            };
          },
          [&](int i, T more) { mean[i] += more; });
      tile.sum_rows(
          [&](int i) { return [&, visible = seen(q0, i, k0)](int j, auto cell) { return j < visible ? p[cell] * c[cell] : T{0}; }; },
          [&](int i, T more) { delta[i] += more; });
      tile.sum_rows(
          [&](int i) {
            return [&, visible = seen(q0, i, k0)](int j, auto cell) { return j < visible ? p[cell] * (ds[cell] * c[cell] + dc[cell]) : T{0}; };
          },
          [&](int i, T more) { ddelta[i] += more; });
    }
    tile.for_rows([&](int i) {
      if (q0 + i >= at.end) return;
      T* const to = a.stats + 3 * row(q0, i, head);
      to[0] = mean[i];
      to[1] = delta[i];
      to[2] = ddelta[i] - mean[i] * delta[i];
    });
  }
  static constexpr attention_room tangent_queries_room{8, 4, 1, 0};
  EXPUNGE_DEVICE_INLINE void tangent_queries(index_t head) const {
    const index_t q0 = at.first;
    sum_type sum = tile.sum(0);
    matrix p = tile.matrix(0), dp = tile.matrix(1), s = tile.matrix(2), ds = tile.matrix(3);
    for (index_t k0 = at.begin; k0 <= q0; k0 += Tile::size) {
      products_by_queries(head, q0, k0, p, dp, s, ds);
      tile.for_scores([&](int i) {
        return [&, visible = seen(q0, i, k0), lse = of_query(a.lse, 1, q0, i, head), mean = of_query(a.stats, 3, q0, i, head),
                delta = of_query(a.stats + 1, 3, q0, i, head), ddelta = of_query(a.stats + 2, 3, q0, i, head)](int j, auto cell) {
          this->coefficients(j < visible, lse, mean, delta, ddelta, p[cell], dp[cell], s[cell], ds[cell]);
        };
      });
      tile.combine(ds, keys(of::k, k0, head), sum);
      if (a.dk != nullptr) tile.combine(s, keys(of::dk, k0, head), sum);
    }
    add_to(a.q_bar, a.sizes.heads, head, a.scale, sum);
  }
  static constexpr attention_room tangent_keys_room{8, 4, 2, 4};
  EXPUNGE_DEVICE_INLINE void tangent_keys(index_t kv_head) const {
    T *const lse = tile.row(0), *const mean = tile.row(1), *const delta = tile.row(2), *const ddelta = tile.row(3);
    const index_t k0 = at.first;
    sum_type of_k = tile.sum(0), of_v = tile.sum(1);
    matrix p = tile.matrix(0), dp = tile.matrix(1), s = tile.matrix(2), ds = tile.matrix(3);
    for_queries_of(kv_head, [&](index_t head, index_t q0) {
      tile.multiply(keys(of::k, k0, head), queries(of::q, q0, head), p);
      tangent_of_product(of::k, of::dk, of::q, of::dq, head, k0, q0, dp);
      tile.multiply(keys(of::v, k0, head), queries(of::g, q0, head), s);
      tangent_of_product(of::v, of::dv, of::g, of::dg, head, k0, q0, ds);
      tile.for_rows([&](int i) {
        lse[i] = of_query(a.lse, 1, q0, i, head), mean[i] = of_query(a.stats, 3, q0, i, head);
        delta[i] = of_query(a.stats + 1, 3, q0, i, head), ddelta[i] = of_query(a.stats + 2, 3, q0, i, head);
      });
      tile.for_scores([&](int j) {
        return [&, from = first_seeing(q0, j, k0), to = count(q0)](int i, auto cell) {
          this->coefficients(from <= i && i < to, lse[i], mean[i], delta[i], ddelta[i], p[cell], dp[cell], s[cell], ds[cell]);
        };
      });
      if (a.v_bar != nullptr) {
        tile.combine(dp, queries(of::g, q0, head), of_v);
        if (a.dg != nullptr) tile.combine(p, queries(of::dg, q0, head), of_v);
      }
      if (a.k_bar != nullptr) {
        tile.combine(ds, queries(of::q, q0, head), of_k);
        if (a.dq != nullptr) tile.combine(s, queries(of::dq, q0, head), of_k);
      }
    });
    add_to_keys(kv_head, of_k, of_v);
  }
};

}  // namespace expunge::cuda
