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
  using base::a, base::tile, base::at, base::add_to, base::count, base::for_queries_of, base::keys, base::last_key,
      base::probabilities, base::product_tangent, base::queries, base::row, base::visible;

  /// The sum over j in [0, size) of f(j), a row's team together.
  template <class F>
  EXPUNGE_DEVICE T of_row(int part, index_t size, const F& f) const {
    T sum = 0;
    for (index_t j = part; j < size; j += Tile::team) sum += f(j);
    return tile.lanes.team_sum(sum);
  }

  /// scores: p, its tangent, the cotangent of the scaled scores, and its tangent.
  EXPUNGE_DEVICE void coefficients(index_t head, index_t q0, index_t k0) const {
    T *const p = tile.scores[0], *const dp = tile.scores[1], *const s = tile.scores[2], *const ds = tile.scores[3];
    raw_coefficients(head, q0, k0);
    tile.for_scores([&](int i, int j, int k) {
      if (!visible(q0, i, k0, j)) {
        dp[k] = s[k] = ds[k] = T{0};
        return;
      }
      const T* const of_row = a.stats + 3 * row(q0, i, head);
      dp[k] = p[k] * (dp[k] - of_row[0]);
      const T centred = s[k] - of_row[1];
      ds[k] = dp[k] * centred + p[k] * (ds[k] - of_row[2]);
      s[k] = p[k] * centred;
    });
  }
  /// scores: p, the tangent of the scaled scores, the cotangent of p, and its tangent.
  EXPUNGE_DEVICE void raw_coefficients(index_t head, index_t q0, index_t k0) const {
    probabilities(head, q0, k0);
    product_tangent(of::q, of::dq, of::k, of::dk, a.scale, head, q0, k0, tile.scores[1]);
    tile.multiply(queries(of::g, q0, head), keys(of::v, k0, head), T{1}, tile.scores[2]);
    product_tangent(of::g, of::dg, of::v, of::dv, T{1}, head, q0, k0, tile.scores[3]);
  }

  /// The value: running maximum and sum of each row (Milakov and Gimelshein 2018).
  static constexpr attention_room forward_room{2, 1, 1};
  EXPUNGE_DEVICE void forward(index_t head, T* out, T* lse) const {
    T *const s = tile.scores[0], *const sum = tile.sums[0], *const largest = tile.row[0], *const total = tile.row[1], *const shrink = tile.row[2];
    const index_t q0 = at.first, last = last_key(q0);
    tile.clear(sum);
    tile.for_rows([&](int i, int part) {
      if (part == 0) total[i] = T{0};
    });
    for (index_t k0 = at.first_key; k0 <= last; k0 += Tile::size) {
      tile.multiply(queries(of::q, q0, head), keys(of::k, k0, head), a.scale, s);
      tile.for_rows([&](int i, int part) {
        T* const scores = s + i * Tile::score_stride;
        const bool first = k0 == at.first_key;
        const T before = first ? scores[0] : largest[i];  // a row sees its example's first key
        T high = before, sum_of = 0;
        for (int j = part; j < Tile::size; j += Tile::team)
          if (visible(q0, i, k0, j)) high = fn::max(high, scores[j]);
        high = tile.lanes.team_max(high);
        for (int j = part; j < Tile::size; j += Tile::team) sum_of += scores[j] = visible(q0, i, k0, j) ? fn::exp(scores[j] - high) : T{0};
        sum_of = tile.lanes.team_sum(sum_of);
        if (part != 0) return;
        shrink[i] = first ? T{0} : fn::exp(before - high);
        largest[i] = high;
        total[i] = total[i] * shrink[i] + sum_of;
      });
      tile.for_elements(Tile::size, [&](int i, int, int k) { sum[k] *= shrink[i]; });
      tile.combine(s, false, keys(of::v, k0, head), sum);
    }
    tile.for_elements(count(q0), [&](int i, int d, int k) { out[row(q0, i, head) * a.sizes.dim + d] = sum[k] / total[i]; });
    tile.for_rows([&](int i, int part) {
      if (part == 0 && q0 + i < at.end) lse[row(q0, i, head)] = largest[i] + fn::log(total[i]);
    });
  }

  /// dout = sum_j p ds v_j + p dv_j - mean out with mean = sum_j p ds.
  static constexpr attention_room pushforward_room{8, 2, 1};
  EXPUNGE_DEVICE void pushforward(index_t head, T* dout) const {
    T *const p = tile.scores[0], *const ds = tile.scores[1], *const sum = tile.sums[0], *const mean = tile.row[0];
    const index_t q0 = at.first;
    tile.clear(sum);
    tile.for_rows([&](int i, int part) {
      if (part == 0) mean[i] = T{0};
    });
    for (index_t k0 = at.begin; k0 <= q0; k0 += Tile::size) {
      probabilities(head, q0, k0);
      if (a.dv != nullptr) tile.combine(p, false, keys(of::dv, k0, head), sum);
      product_tangent(of::q, of::dq, of::k, of::dk, a.scale, head, q0, k0, ds);
      tile.for_scores([&](int, int, int k) { ds[k] *= p[k]; });
      tile.for_rows([&](int i, int part) {
        const T sum_of = of_row(part, Tile::size, [&](index_t j) { return ds[i * Tile::score_stride + j]; });
        if (part == 0) mean[i] += sum_of;
      });
      tile.combine(ds, false, keys(of::v, k0, head), sum);
    }
    tile.for_elements(count(q0), [&](int i, int d, int k) {
      const index_t to = row(q0, i, head) * a.sizes.dim + d;
      dout[to] = sum[k] - mean[i] * a.out[to];
    });
  }

  static constexpr attention_room pullback_stats_room{0, 0, 0};
  /// stats[1] of each row: delta = g . out, for the pullback.
  EXPUNGE_DEVICE void pullback_stats(index_t head) const {
    tile.for_rows([&](int i, int part) {
      const bool there = at.first + i < at.end;
      const index_t r = row(at.first, i, head), begin = r * a.sizes.dim;
      const T delta = of_row(part, there ? a.sizes.dim : 0, [&](index_t d) { return a.g[begin + d] * a.out[begin + d]; });
      if (there && part == 0) a.stats[3 * r + 1] = delta;
    });
  }
  EXPUNGE_DEVICE void pullback_scores(index_t head, index_t q0, index_t k0) const {
    T *const p = tile.scores[0], *const s = tile.scores[1];
    probabilities(head, q0, k0);
    tile.multiply(queries(of::g, q0, head), keys(of::v, k0, head), T{1}, s);
    tile.for_scores([&](int i, int j, int k) { s[k] = visible(q0, i, k0, j) ? p[k] * (s[k] - a.stats[3 * row(q0, i, head) + 1]) : T{0}; });
  }
  static constexpr attention_room pullback_queries_room{4, 2, 1};
  EXPUNGE_DEVICE void pullback_queries(index_t head) const {
    tile.clear(tile.sums[0]);
    for (index_t k0 = at.begin; k0 <= at.first; k0 += Tile::size) {
      pullback_scores(head, at.first, k0);
      tile.combine(tile.scores[1], false, keys(of::k, k0, head), tile.sums[0]);
    }
    add_to(a.q_bar, a.sizes.heads, head, a.scale, tile.sums[0]);
  }
  static constexpr attention_room pullback_keys_room{4, 2, 2};
  EXPUNGE_DEVICE void pullback_keys(index_t kv_head) const {
    for_queries_of(kv_head, [&](index_t head, index_t q0) {
      pullback_scores(head, q0, at.first);
      if (a.v_bar != nullptr) tile.combine(tile.scores[0], true, queries(of::g, q0, head), tile.sums[1]);
      if (a.k_bar != nullptr) tile.combine(tile.scores[1], true, queries(of::q, q0, head), tile.sums[0]);
    });
  }

  static constexpr attention_room tangent_stats_room{8, 4, 0};
  /// All stats of each row, for the pullback's tangent.
  EXPUNGE_DEVICE void tangent_stats(index_t head) const {
    T *const mean = tile.row[0], *const delta = tile.row[1], *const ddelta = tile.row[2];
    tile.for_rows([&](int i, int part) {
      if (part == 0) mean[i] = delta[i] = ddelta[i] = T{0};
    });
    for (index_t k0 = at.begin; k0 <= at.first; k0 += Tile::size) {
      raw_coefficients(head, at.first, k0);
      tile.for_rows([&](int i, int part) {
        const T *const p = tile.scores[0] + i * Tile::score_stride, *const ds = tile.scores[1] + i * Tile::score_stride;
        const T *const c = tile.scores[2] + i * Tile::score_stride, *const dc = tile.scores[3] + i * Tile::score_stride;
        const T m = of_row(part, Tile::size, [&](index_t j) { return p[j] * ds[j]; });
        const T d = of_row(part, Tile::size, [&](index_t j) { return p[j] * c[j]; });
        const T dd = of_row(part, Tile::size, [&](index_t j) { return p[j] * (ds[j] * c[j] + dc[j]); });
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
  static constexpr attention_room tangent_queries_room{8, 4, 1};
  EXPUNGE_DEVICE void tangent_queries(index_t head) const {
    tile.clear(tile.sums[0]);
    for (index_t k0 = at.begin; k0 <= at.first; k0 += Tile::size) {
      coefficients(head, at.first, k0);
      tile.combine(tile.scores[3], false, keys(of::k, k0, head), tile.sums[0]);
      if (a.dk != nullptr) tile.combine(tile.scores[2], false, keys(of::dk, k0, head), tile.sums[0]);
    }
    add_to(a.q_bar, a.sizes.heads, head, a.scale, tile.sums[0]);
  }
  static constexpr attention_room tangent_keys_room{8, 4, 2};
  EXPUNGE_DEVICE void tangent_keys(index_t kv_head) const {
    for_queries_of(kv_head, [&](index_t head, index_t q0) {
      coefficients(head, q0, at.first);
      if (a.v_bar != nullptr) {
        tile.combine(tile.scores[1], true, queries(of::g, q0, head), tile.sums[1]);
        if (a.dg != nullptr) tile.combine(tile.scores[0], true, queries(of::dg, q0, head), tile.sums[1]);
      }
      if (a.k_bar != nullptr) {
        tile.combine(tile.scores[3], true, queries(of::q, q0, head), tile.sums[0]);
        if (a.dq != nullptr) tile.combine(tile.scores[2], true, queries(of::dq, q0, head), tile.sums[0]);
      }
    });
  }
};

}  // namespace expunge::cuda
