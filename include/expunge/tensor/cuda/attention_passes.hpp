// Ragged causal attention in flash style: each pass is what one block of threads does for one tile of one head. Scores live in
// the block's working memory; the probabilities are recomputed from the saved log-sum-exp. See host/attention.hpp for the
// arguments; the formulas are those of its kernels, with the sums over a row's keys gathered tile by tile.
#pragma once

#include "expunge/tensor/cuda/attention_pass.hpp"

namespace expunge::cuda {

template <class T, class Tile>
struct attention_passes : attention_pass<T, Tile> {
  using base = attention_pass<T, Tile>;
  using of = attention_operand;
  using base::a, base::tile, base::at, base::add_to, base::count, base::for_queries_of, base::keys, base::last_key, base::product_tangent, base::queries,
      base::row, base::scaled_scores, base::seen;

  /// The sum over j in [0, size) of f(j), a row's team together.
  template <class F>
  EXPUNGE_DEVICE T of_row(int part, index_t size, const F& f) const {
    T sum = 0;
    for (index_t j = part; j < size; j += Tile::team) sum += f(j);
    return tile.lanes.team_sum(sum);
  }
  /// lse of a row of queries; of none that is there, what makes no NaN.
  [[nodiscard]] EXPUNGE_DEVICE T lse_of(index_t q0, int i, index_t head) const { return q0 + i < at.end ? a.lse[row(q0, i, head)] : T{0}; }

  static constexpr attention_room forward_room{2, 1, 1, 3};
  /// The value: running maximum and sum of each row (Milakov and Gimelshein 2018).
  EXPUNGE_DEVICE void forward(index_t head, T* out, T* lse) const {
    T *const s = tile.scores(0), *const sum = tile.sums(0), *const largest = tile.row(0), *const total = tile.row(1), *const shrink = tile.row(2);
    const index_t q0 = at.first, last = last_key(q0);
    tile.clear(sum);
    tile.for_rows([&](int i, int part) {
      if (part == 0) total[i] = T{0};
    });
    for (index_t k0 = at.first_key; k0 <= last; k0 += Tile::size) {
      scaled_scores(head, q0, k0, s);
      tile.for_rows([&](int i, int part) {
        T* const scores = s + i * Tile::score_stride;
        const bool first = k0 == at.first_key;
        const int visible = seen(q0, i, k0);
        const T before = first ? scores[0] : largest[i];  // a row sees its example's first key
        T high = before, sum_of = 0;
        for (int j = part; j < visible; j += Tile::team) high = fn::max(high, scores[j]);
        high = tile.lanes.team_max(high);
        for (int j = part; j < Tile::size; j += Tile::team) sum_of += scores[j] = j < visible ? fn::exp(scores[j] - high) : T{0};
        sum_of = tile.lanes.team_sum(sum_of);
        if (part != 0) return;
        shrink[i] = first ? T{0} : fn::exp(before - high);
        largest[i] = high;
        total[i] = total[i] * shrink[i] + sum_of;
      });
      tile.for_sums(Tile::size, [&](int i) { return [=, by = shrink[i]](int, int k) { sum[k] *= by; }; });
      tile.combine(s, false, keys(of::v, k0, head), sum);
    }
    tile.for_sums(count(q0), [&](int i) {
      T* const to = out + row(q0, i, head) * a.sizes.dim;
      return [=, of_row = total[i]](int d, int k) { to[d] = sum[k] / of_row; };
    });
    tile.for_rows([&](int i, int part) {
      if (part == 0 && q0 + i < at.end) lse[row(q0, i, head)] = largest[i] + fn::log(total[i]);
    });
  }

  static constexpr attention_room pushforward_room{4, 2, 1, 1};
  /// dout = sum_j p ds v_j + p dv_j - mean out with mean = sum_j p ds.
  EXPUNGE_DEVICE void pushforward(index_t head, T* dout) const {
    T *const p = tile.scores(0), *const ds = tile.scores(1), *const sum = tile.sums(0), *const mean = tile.row(0);
    const index_t q0 = at.first;
    tile.clear(sum);
    tile.for_rows([&](int i, int part) {
      if (part == 0) mean[i] = T{0};
    });
    for (index_t k0 = at.begin; k0 <= q0; k0 += Tile::size) {
      scaled_scores(head, q0, k0, p);
      product_tangent(of::q, of::dq, of::k, of::dk, a.scale, head, q0, k0, ds);
      tile.for_rows([&](int i, int part) {
        T *const p_of = p + i * Tile::score_stride, *const ds_of = ds + i * Tile::score_stride;
        const int visible = seen(q0, i, k0);
        const T of_lse = lse_of(q0, i, head);
        const T sum_of = of_row(part, Tile::size, [&](index_t j) {
          p_of[j] = j < visible ? fn::exp(p_of[j] - of_lse) : T{0};
          return ds_of[j] = j < visible ? p_of[j] * ds_of[j] : T{0};
        });
        if (part == 0) mean[i] += sum_of;
      });
      if (a.dv != nullptr) tile.combine(p, false, keys(of::dv, k0, head), sum);
      tile.combine(ds, false, keys(of::v, k0, head), sum);
    }
    tile.for_sums(count(q0), [&](int i) {
      const index_t begin = row(q0, i, head) * a.sizes.dim;
      return [=, to = dout + begin, of_out = a.out + begin, of_row = mean[i]](int d, int k) { to[d] = sum[k] - of_row * of_out[d]; };
    });
  }

  static constexpr attention_room pullback_stats_room{0, 0, 0, 0};
  /// stats[1] of each row: delta = g . out, for the pullback.
  EXPUNGE_DEVICE void pullback_stats(index_t head) const {
    tile.for_rows([&](int i, int part) {
      const bool there = at.first + i < at.end;
      const index_t r = row(at.first, i, head), begin = r * a.sizes.dim;
      const T delta = of_row(part, there ? a.sizes.dim : 0, [&](index_t d) { return a.g[begin + d] * a.out[begin + d]; });
      if (there && part == 0) a.stats[3 * r + 1] = delta;
    });
  }
  /// scores: p, and the cotangent of the scaled scores.
  EXPUNGE_DEVICE void pullback_scores(index_t head, index_t q0, index_t k0) const {
    T *const p = tile.scores(0), *const s = tile.scores(1);
    scaled_scores(head, q0, k0, p);
    tile.multiply(queries(of::g, q0, head), keys(of::v, k0, head), T{1}, s);
    tile.for_scores([&](int i) {
      const int visible = seen(q0, i, k0);
      const T of_lse = lse_of(q0, i, head), delta = visible > 0 ? a.stats[3 * row(q0, i, head) + 1] : T{0};
      return [=](int j, int k) {
        p[k] = j < visible ? fn::exp(p[k] - of_lse) : T{0};
        s[k] = j < visible ? p[k] * (s[k] - delta) : T{0};
      };
    });
  }
  static constexpr attention_room pullback_queries_room{4, 2, 1, 0};
  EXPUNGE_DEVICE void pullback_queries(index_t head) const {
    tile.clear(tile.sums(0));
    for (index_t k0 = at.begin; k0 <= at.first; k0 += Tile::size) {
      pullback_scores(head, at.first, k0);
      tile.combine(tile.scores(1), false, keys(of::k, k0, head), tile.sums(0));
    }
    add_to(a.q_bar, a.sizes.heads, head, a.scale, tile.sums(0));
  }
  static constexpr attention_room pullback_keys_room{4, 2, 2, 0};
  EXPUNGE_DEVICE void pullback_keys(index_t kv_head) const {
    for_queries_of(kv_head, [&](index_t head, index_t q0) {
      pullback_scores(head, q0, at.first);
      if (a.v_bar != nullptr) tile.combine(tile.scores(0), true, queries(of::g, q0, head), tile.sums(1));
      if (a.k_bar != nullptr) tile.combine(tile.scores(1), true, queries(of::q, q0, head), tile.sums(0));
    });
  }

  /// scores: the scaled scores, their tangent, the cotangent of p, and its tangent.
  EXPUNGE_DEVICE void products(index_t head, index_t q0, index_t k0) const {
    scaled_scores(head, q0, k0, tile.scores(0));
    product_tangent(of::q, of::dq, of::k, of::dk, a.scale, head, q0, k0, tile.scores(1));
    tile.multiply(queries(of::g, q0, head), keys(of::v, k0, head), T{1}, tile.scores(2));
    product_tangent(of::g, of::dg, of::v, of::dv, T{1}, head, q0, k0, tile.scores(3));
  }
  /// scores: p, its tangent, the cotangent of the scaled scores, and its tangent.
  EXPUNGE_DEVICE void coefficients(index_t head, index_t q0, index_t k0) const {
    T *const p = tile.scores(0), *const dp = tile.scores(1), *const s = tile.scores(2), *const ds = tile.scores(3);
    products(head, q0, k0);
    tile.for_scores([&](int i) {
      const int visible = seen(q0, i, k0);
      const T of_lse = lse_of(q0, i, head);
      const T* const stats = a.stats + 3 * row(q0, i, head);
      const T mean = visible > 0 ? stats[0] : T{0}, delta = visible > 0 ? stats[1] : T{0}, ddelta = visible > 0 ? stats[2] : T{0};
      return [=](int j, int k) {
        if (j >= visible) {
          p[k] = dp[k] = s[k] = ds[k] = T{0};
          return;
        }
        p[k] = fn::exp(p[k] - of_lse);
        dp[k] = p[k] * (dp[k] - mean);
        const T centred = s[k] - delta;
        ds[k] = dp[k] * centred + p[k] * (ds[k] - ddelta);
        s[k] = p[k] * centred;
      };
    });
  }

  static constexpr attention_room tangent_stats_room{8, 4, 0, 3};
  /// All stats of each row, for the pullback's tangent.
  EXPUNGE_DEVICE void tangent_stats(index_t head) const {
    T *const mean = tile.row(0), *const delta = tile.row(1), *const ddelta = tile.row(2);
    tile.for_rows([&](int i, int part) {
      if (part == 0) mean[i] = delta[i] = ddelta[i] = T{0};
    });
    for (index_t k0 = at.begin; k0 <= at.first; k0 += Tile::size) {
      products(head, at.first, k0);
      tile.for_rows([&](int i, int part) {
        const T *const s = tile.scores(0) + i * Tile::score_stride, *const ds = tile.scores(1) + i * Tile::score_stride;
        const T *const c = tile.scores(2) + i * Tile::score_stride, *const dc = tile.scores(3) + i * Tile::score_stride;
        const int visible = seen(at.first, i, k0);
        const T of_lse = lse_of(at.first, i, head);
        T m = 0, d = 0, dd = 0;
        for (int j = part; j < visible; j += Tile::team) {
          const T p = fn::exp(s[j] - of_lse);
          m += p * ds[j];
          d += p * c[j];
          dd += p * (ds[j] * c[j] + dc[j]);
        }
        m = tile.lanes.team_sum(m), d = tile.lanes.team_sum(d), dd = tile.lanes.team_sum(dd);
        if (part != 0) return;
        mean[i] += m;
        delta[i] += d;
        ddelta[i] += dd;
      });
    }
    tile.for_rows([&](int i, int part) {
      if (part != 0 || at.first + i >= at.end) return;
      T* const to = a.stats + 3 * row(at.first, i, head);
      to[0] = mean[i];
      to[1] = delta[i];
      to[2] = ddelta[i] - mean[i] * delta[i];
    });
  }
  static constexpr attention_room tangent_queries_room{8, 4, 1, 0};
  EXPUNGE_DEVICE void tangent_queries(index_t head) const {
    tile.clear(tile.sums(0));
    for (index_t k0 = at.begin; k0 <= at.first; k0 += Tile::size) {
      coefficients(head, at.first, k0);
      tile.combine(tile.scores(3), false, keys(of::k, k0, head), tile.sums(0));
      if (a.dk != nullptr) tile.combine(tile.scores(2), false, keys(of::dk, k0, head), tile.sums(0));
    }
    add_to(a.q_bar, a.sizes.heads, head, a.scale, tile.sums(0));
  }
  static constexpr attention_room tangent_keys_room{8, 4, 2, 0};
  EXPUNGE_DEVICE void tangent_keys(index_t kv_head) const {
    for_queries_of(kv_head, [&](index_t head, index_t q0) {
      coefficients(head, q0, at.first);
      if (a.v_bar != nullptr) {
        tile.combine(tile.scores(1), true, queries(of::g, q0, head), tile.sums(1));
        if (a.dg != nullptr) tile.combine(tile.scores(0), true, queries(of::dg, q0, head), tile.sums(1));
      }
      if (a.k_bar != nullptr) {
        tile.combine(tile.scores(3), true, queries(of::q, q0, head), tile.sums(0));
        if (a.dq != nullptr) tile.combine(tile.scores(2), true, queries(of::dq, q0, head), tile.sums(0));
      }
    });
  }
};

}  // namespace expunge::cuda
