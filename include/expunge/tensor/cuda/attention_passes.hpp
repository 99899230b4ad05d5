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
  using typename base::held;
  using base::a, base::tile, base::at, base::by_visibility, base::put, base::put_keys, base::count, base::first_seeing, base::own, base::row, base::seen,
      base::tangent_of_product;

  static constexpr T least = std::numeric_limits<T>::lowest();
  static constexpr attention_room forward_room{.operands = 1, .matrices = 1, .sums = 1, .numbers = 3, .moving_operands = 2};
  /// The value: running maximum and sum of each row (Milakov and Gimelshein 2018).
  EXPUNGE_DEVICE_INLINE void forward(index_t head, T* out, T* lse) const {
    auto largest = tile.row_numbers(0, least), total = tile.row_numbers(1, T{0}), shrink = tile.row_numbers(2, T{1});
    const index_t q0 = at.first;
    const held q = own(0, of::q, head);
    sum_type sum = tile.sum(0);
    matrix s = tile.matrix(0);
    this->template for_keys<of::k, of::v>(head, [&](index_t k0, const held& k, const held& v) {
      tile.multiply(q, k, s);
      by_visibility(q0, k0, [&]<bool whole>(std::bool_constant<whole>) {
        tile.largest_of_rows(
            least, [&](int i) { return [&, visible = seen(q0, i, k0)](int j, auto cell) { return whole || j < visible ? s[cell] : least; }; },
            [&](auto i, T most) {  // a scale is positive
              const T before = largest[i], now = Tile::max(before, a.scale * most);
              shrink[i] = Tile::exp(before, T{1}, now);
              largest[i] = now;
            });
        tile.sum_rows(
            [&](auto i) {
              return [&, visible = seen(q0, i, k0), most = largest[i]](int j, auto cell) {
                return s[cell] = this->probability(whole || j < visible, s[cell], most);
              };
            },
            [&](auto i, T more) { total[i] = total[i] * shrink[i] + more; });
      });
      tile.for_sums(Tile::size, [&](auto i) { return [&, by = shrink[i]](int, auto cell) { sum[cell] *= by; }; });
      tile.combine(s, v, sum);
    });
    tile.for_sums(count(q0), [&](auto i) {
      return [&, to = out + row(q0, i, head) * a.sizes.dim, by = T{1} / total[i]](int d, auto cell) { to[d] = sum[cell] * by; };
    });
    tile.for_rows([&](auto i) {
      if (q0 + i < at.end) lse[row(q0, i, head)] = largest[i] + fn::log(total[i]);
    });
  }

  static constexpr attention_room pushforward_room{.operands = 2, .matrices = 2, .sums = 1, .numbers = 2, .moving_operands = 4};
  /// dout = sum_j p ds v_j + p dv_j - dlse out, and dlse = sum_j p ds.
  EXPUNGE_DEVICE_INLINE void pushforward(index_t head, T* dout, T* dlse) const {
    const T* const lse = tile.numbers(number_lse);
    auto mean = tile.row_numbers(1, T{0});
    const T scale = a.scale;
    const index_t q0 = at.first;
    const held q = own(0, of::q, head), dq = own(1, of::dq, head);
    this->template own_numbers<1>(head);
    sum_type sum = tile.sum(0);
    matrix p = tile.matrix(0), ds = tile.matrix(1);
    this->template for_keys<of::k, of::v, of::dk, of::dv>(head, [&](index_t k0, const held& k, const held& v, const held& dk, const held& dv) {
      tile.multiply(q, k, p);
      tangent_of_product(q, dq, k, dk, ds);
      by_visibility(q0, k0, [&]<bool whole>(std::bool_constant<whole>) {
        tile.sum_rows(
            [&](int i) {
              return [&, visible = seen(q0, i, k0), of_row = lse[i]](int j, auto cell) {
                p[cell] = this->probability(whole || j < visible, p[cell], of_row);
                return ds[cell] = this->only(whole || j < visible, p[cell] * scale * ds[cell]);
              };
            },
            [&](auto i, T more) { mean[i] += more; });
      });
      if (dv.there) tile.combine(p, dv, sum);
      tile.combine(ds, v, sum);
    });
    tile.for_sums(count(q0), [&](auto i) {
      const index_t begin = row(q0, i, head) * a.sizes.dim;
      return [&, to = dout + begin, of_out = a.out + begin, of_row = mean[i]](int d, auto cell) { to[d] = sum[cell] - of_row * of_out[d]; };
    });
    tile.for_rows([&](auto i) {
      if (q0 + i < at.end) dlse[row(q0, i, head)] = mean[i];
    });
  }

  static constexpr attention_room stats_room{};
  /// delta of each row and, in tangent passes, ddelta.
  EXPUNGE_DEVICE void stats(index_t head) const {
    constexpr int team = Tile::lanes_type::team;
    for (int item = tile.lanes.index(); item < Tile::size * team; item += tile.lanes.count()) {
      const bool there = at.first + item / team < at.end;
      const index_t of_row = row(at.first, item / team, head), begin = of_row * a.sizes.dim;
      const auto inner = [&](const typename Tile::operand_type* x, const T* y) {
        T sum = 0;
        for (index_t d = item % team; there && d < a.sizes.dim; d += team) sum += static_cast<T>(x[begin + d]) * y[begin + d];
        return tile.lanes.team_reduce(sum, [](T p, T q) { return p + q; });
      };
      const auto store = [&](T* to, T value) {
        if (there && item % team == 0) to[of_row] = value;
      };
      store(a.delta, inner(a.g, a.out));
      if (a.ddelta != nullptr) store(a.ddelta, inner(a.g, a.dout) + (a.dg != nullptr ? inner(a.dg, a.out) : T{0}));
    }
  }
  static constexpr attention_room pullback_queries_room{.operands = 2, .matrices = 2, .sums = 1, .numbers = 2, .moving_operands = 2};
  EXPUNGE_DEVICE_INLINE void pullback_queries(index_t head) const {
    const T *const lse = tile.numbers(number_lse), *const delta = tile.numbers(number_delta);
    const T scale = a.scale;
    const index_t q0 = at.first;
    const held q = own(0, of::q, head), g = own(1, of::g, head);
    this->template own_numbers<2>(head);
    sum_type sum = tile.sum(0);
    matrix p = tile.matrix(0), s = tile.matrix(1);
    this->template for_keys<of::k, of::v>(head, [&](index_t k0, const held& k, const held& v) {
      tile.multiply(q, k, p);
      tile.multiply(g, v, s);
      by_visibility(q0, k0, [&]<bool whole>(std::bool_constant<whole>) {
        tile.for_scores([&](int i) {
          return [&, visible = seen(q0, i, k0), of_row = lse[i], centre = delta[i]](int j, auto cell) {
            s[cell] = this->only(whole || j < visible, this->probability(true, p[cell], of_row) * (s[cell] - centre));
          };
        });
      });
      tile.combine(s, k, sum);
    });
    put(a.q_bar, a.sizes.heads, head, scale, sum);
  }
  static constexpr attention_room pullback_keys_room{.operands = 2, .matrices = 2, .sums = 2, .numbers = 0, .moving_operands = 2, .moving_numbers = 2};
  EXPUNGE_DEVICE_INLINE void pullback_keys(index_t kv_head) const {
    const index_t k0 = at.first;
    const held k = own(0, of::k, kv_head), v = own(1, of::v, kv_head);
    sum_type of_k = tile.sum(0), of_v = tile.sum(1);
    matrix p = tile.matrix(0), s = tile.matrix(1);
    this->template for_queries<2, of::q, of::g>(kv_head, [&](index_t q0, const auto& numbers, const held& q, const held& g) {
      const T *const lse = numbers(number_lse), *const delta = numbers(number_delta);
      tile.multiply(k, q, p);
      tile.multiply(v, g, s);
      by_visibility(q0, k0, [&]<bool whole>(std::bool_constant<whole>) {
        tile.for_scores([&](int j) {
          return [&, from = first_seeing(q0, j, k0), to = q.count](int i, auto cell) {
            const bool sees = whole || (from <= i && i < to);
            p[cell] = this->probability(sees, p[cell], lse[i]);
            s[cell] = this->only(sees, p[cell] * (s[cell] - delta[i]));
          };
        });
      });
      if (a.v_bar.at != nullptr) tile.combine(p, g, of_v);
      if (a.k_bar.at != nullptr) tile.combine(s, q, of_k);
    });
    put_keys(kv_head, of_k, of_v);
  }

  static constexpr attention_room tangent_queries_room{.operands = 4, .matrices = 4, .sums = 1, .numbers = 4, .moving_operands = 4};
  EXPUNGE_DEVICE_INLINE void tangent_queries(index_t head) const {
    const T *const lse = tile.numbers(number_lse), *const dlse = tile.numbers(number_dlse), *const delta = tile.numbers(number_delta),
            *const ddelta = tile.numbers(number_ddelta);
    const index_t q0 = at.first;
    const held q = own(0, of::q, head), g = own(1, of::g, head), dq = own(2, of::dq, head), dg = own(3, of::dg, head);
    this->template own_numbers<4>(head);
    sum_type sum = tile.sum(0);
    matrix p = tile.matrix(0), dp = tile.matrix(1), s = tile.matrix(2), ds = tile.matrix(3);
    this->template for_keys<of::k, of::v, of::dk, of::dv>(head, [&](index_t k0, const held& k, const held& v, const held& dk, const held& dv) {
      tile.multiply(q, k, p);
      tangent_of_product(q, dq, k, dk, dp);
      tile.multiply(g, v, s);
      tangent_of_product(g, dg, v, dv, ds);
      by_visibility(q0, k0, [&]<bool whole>(std::bool_constant<whole>) {
        tile.for_scores([&](int i) {
          return [&, visible = seen(q0, i, k0), of_lse = lse[i], of_dlse = dlse[i], of_delta = delta[i], of_ddelta = ddelta[i]](int j, auto cell) {
            this->coefficients(whole || j < visible, of_lse, of_dlse, of_delta, of_ddelta, p[cell], dp[cell], s[cell], ds[cell]);
          };
        });
      });
      tile.combine(ds, k, sum);
      if (dk.there) tile.combine(s, dk, sum);
    });
    put(a.q_bar, a.sizes.heads, head, a.scale, sum);
  }
  static constexpr attention_room tangent_keys_room{.operands = 4, .matrices = 4, .sums = 2, .numbers = 0, .moving_operands = 4, .moving_numbers = 4};
  EXPUNGE_DEVICE_INLINE void tangent_keys(index_t kv_head) const {
    const index_t k0 = at.first;
    const held k = own(0, of::k, kv_head), v = own(1, of::v, kv_head), dk = own(2, of::dk, kv_head), dv = own(3, of::dv, kv_head);
    sum_type of_k = tile.sum(0), of_v = tile.sum(1);
    matrix p = tile.matrix(0), dp = tile.matrix(1), s = tile.matrix(2), ds = tile.matrix(3);
    this->template for_queries<4, of::q, of::g, of::dq, of::dg>(
        kv_head, [&](index_t q0, const auto& numbers, const held& q, const held& g, const held& dq, const held& dg) {
          tile.multiply(k, q, p);
          tangent_of_product(k, dk, q, dq, dp);
          tile.multiply(v, g, s);
          tangent_of_product(v, dv, g, dg, ds);
          const T *const lse = numbers(number_lse), *const dlse = numbers(number_dlse), *const delta = numbers(number_delta),
                  *const ddelta = numbers(number_ddelta);
          by_visibility(q0, k0, [&]<bool whole>(std::bool_constant<whole>) {
            tile.for_scores([&](int j) {
              return [&, from = first_seeing(q0, j, k0), to = q.count](int i, auto cell) {
                this->coefficients(whole || (from <= i && i < to), lse[i], dlse[i], delta[i], ddelta[i], p[cell], dp[cell], s[cell], ds[cell]);
              };
            });
          });
          if (a.v_bar.at != nullptr) {
            tile.combine(dp, g, of_v);
            if (dg.there) tile.combine(p, dg, of_v);
          }
          if (a.k_bar.at != nullptr) {
            tile.combine(ds, q, of_k);
            if (dq.there) tile.combine(s, dq, of_k);
          }
        });
    put_keys(kv_head, of_k, of_v);
  }
};

}  // namespace expunge::cuda
