// The CUDA kernels' attention arithmetic, run by host threads, against the host kernels.
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include <expunge/core/random.hpp>
#include <expunge/tensor/cuda/attention_passes.hpp>
#include <expunge/tensor/cuda/attention_products.hpp>
#include <expunge/tensor/host/attention.hpp>

#include "block_of_threads.hpp"
#include "../larger_error.hpp"

using namespace expunge;

namespace {

/// Stages: for how many steps operands are in working memory.
template <class T, class Block, int Stages>
struct setting {
  using type = T;
  using block = Block;
  static constexpr int stages = Stages;
};
using settings = boost::mpl::list<setting<double, testing::alone, 1>, setting<float, testing::alone, 2>, setting<double, testing::together, 2>,
                                  setting<float, testing::together, 1>, setting<double, testing::in_teams, 1>, setting<float, testing::in_teams, 2>>;

template <class S>
struct attention_case {
  using T = typename S::type;
  using values = std::vector<T>;
  using products = cuda::plain_products<T, sizeof(T) == 4 ? 32 : 16>;
  using room = cuda::attention_passes<T, cuda::attention_tile<products, cuda::serial_lanes>>;  // has the room that each pass needs

  std::vector<std::int32_t> offsets{0, 1, 71, 71, 87, 120, 183};
  attention_shape sizes{6, 4, 2, 10, 183};  // a dimension that the threads of block_of_threads.hpp do not divide
  T scale = T(0.4);
  philox generator{3};

  /// As long as queries, or as keys where `heads` are the key-value heads.
  values random(index_t heads) {
    values made(static_cast<std::size_t>((heads == sizes.kv_heads ? sizes.key_rows : sizes.rows) * heads * sizes.dim));
    for (T& x : made) x = static_cast<T>(standard_normal(generator));
    return made;
  }

  /// Runs a pass as the device does: every tile of every head (or key-value head), working memory full of NaN at first.
  template <class F>
  void launch(const cuda::attention_arguments<T>& a, index_t heads, cuda::attention_room needed, const F& pass) const {
    needed.stages = S::stages;
    const bool of_keys = heads == sizes.kv_heads;
    const index_t tiles = cuda::attention_tiles(sizes, products::rows, of_keys);
    for (index_t which = 0; which < tiles; ++which)
      for (index_t head = 0; head < heads; ++head) {
        values memory;
        cuda::attention_tile_place at{};
        const auto find = of_keys ? cuda::find_attention_tile_of_keys : cuda::find_attention_tile;
        if (!find(sizes, a.offsets, a.key_offsets, products::rows, which, at)) continue;
        S::block::run([&]<class Lanes>(const Lanes& lanes) {
          using tile_type = cuda::attention_tile<products, Lanes>;
          if (lanes.index() == 0) memory.assign(tile_type::bytes(sizes.dim, needed) / sizeof(T), std::numeric_limits<T>::quiet_NaN());
          lanes.sync();
          const tile_type tile(lanes, memory.data(), sizes.dim, needed);
          pass(cuda::attention_passes<T, tile_type>{{a, tile, at}}, head);
        });
      }
  }
};

template <class T>
void check(const std::vector<T>& found, const std::vector<T>& expected) {
  testing::check_beside_largest(found, expected, sizeof(T) == 4 ? T(2e-5) : T(1e-13));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_attention)

BOOST_AUTO_TEST_CASE(every_tile_is_found_once_and_those_of_keys_with_most_steps_first) {
  const std::vector<std::int32_t> offsets{0, 1, 71, 71, 87, 120, 183}, key_offsets{0, 11, 81, 84, 100, 133, 196};  // pasts of 10 and, without rows, of 3
  const attention_shape sizes{6, 1, 1, 8, 183, 196};
  for (const bool of_keys : {false, true}) {
    const auto find = of_keys ? cuda::find_attention_tile_of_keys : cuda::find_attention_tile;
    const auto& tiled = of_keys ? key_offsets : offsets;
    std::vector<int> covered(static_cast<std::size_t>(tiled.back()));
    index_t before = 5;  // tiles of the longest example
    const auto at_number = [&](index_t which) {
      cuda::attention_tile_place at{};
      if (!find(sizes, offsets.data(), key_offsets.data(), 16, which, at)) return false;
      const auto e = static_cast<std::size_t>(std::ranges::find(tiled, at.end) - tiled.begin() - 1);
      BOOST_TEST(at.first_query == offsets[e]);
      BOOST_TEST(at.end_query == offsets[e + 1]);
      BOOST_TEST(at.first_key == key_offsets[e]);
      BOOST_TEST(at.shift == key_offsets[e + 1] - offsets[e + 1]);
      BOOST_TEST((at.first - tiled[e]) % 16 == 0);
      const index_t steps = (at.end - at.first + 15) / 16;
      if (of_keys) BOOST_TEST(steps <= before);
      before = steps;
      for (index_t r = at.first; r < std::min<index_t>(at.first + 16, at.end); ++r) ++covered[static_cast<std::size_t>(r)];
      return true;
    };
    index_t tiles = 0;
    while (at_number(tiles)) ++tiles;
    BOOST_TEST(tiles == 1 + 5 + (of_keys ? 1 : 0) + 1 + 3 + 4);
    BOOST_TEST(tiles <= cuda::attention_tiles(sizes, 16, of_keys));
    BOOST_TEST(!at_number(tiles + 1));
    BOOST_TEST(covered == std::vector<int>(covered.size(), 1), boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(large_scores_neither_overflow_nor_vanish, S, settings) {
  using T = typename S::type;
  attention_case<S> c;
  auto q = c.random(4);
  for (T& x : q) x *= 150;  // the exponential of no score is a number, and no row is whole without its largest score taken off
  const auto k = c.random(2), v = c.random(2);
  std::vector<T> out(q.size()), lse(static_cast<std::size_t>(c.sizes.rows * 4)), found_out(q.size()), found_lse(lse.size());
  const auto* offsets = c.offsets.data();
  host::attention(c.sizes, offsets, offsets, q.data(), k.data(), v.data(), c.scale, out.data(), lse.data());
  const cuda::attention_arguments<T> a{.sizes = c.sizes, .offsets = offsets, .key_offsets = offsets, .scale = c.scale, .q = q.data(), .k = k.data(), .v = v.data()};
  c.launch(a, 4, attention_case<S>::room::forward_room,
           [&](const auto& pass, index_t head) { pass.forward(head, found_out.data(), found_lse.data()); });
  testing::check_beside_largest(found_out, out, sizeof(T) == 4 ? T(1e-3) : T(1e-11));
  testing::check_beside_largest(found_lse, lse, sizeof(T) == 4 ? T(1e-5) : T(1e-13));
}

namespace {

/// Every pass where the examples' keys are those of `key_offsets`.
template <class S>
void check_passes(const std::vector<std::int32_t>& of_keys) {
  using T = typename S::type;
  using room = typename attention_case<S>::room;
  attention_case<S> c;
  c.sizes.key_rows = of_keys.back();
  const auto q = c.random(4), k = c.random(2), v = c.random(2), g = c.random(4);
  const auto dq = c.random(4), dk = c.random(2), dv = c.random(2), dg = c.random(4);
  const auto rows = static_cast<std::size_t>(c.sizes.rows * 4);
  std::vector<T> out(q.size()), lse(rows), found_out(q.size()), found_lse(rows), delta(rows), ddelta(rows);
  const auto *offsets = c.offsets.data(), *key_offsets = of_keys.data();
  host::attention(c.sizes, offsets, key_offsets, q.data(), k.data(), v.data(), c.scale, out.data(), lse.data());

  cuda::attention_arguments<T> a{.sizes = c.sizes, .offsets = offsets, .key_offsets = key_offsets, .scale = c.scale, .q = q.data(), .k = k.data(), .v = v.data(),
                                 .out = out.data(), .lse = lse.data(), .g = g.data(), .delta = delta.data()};
  c.launch(a, 4, room::forward_room, [&](const auto& pass, index_t head) { pass.forward(head, found_out.data(), found_lse.data()); });
  check(found_out, out);
  check(found_lse, lse);

  const auto start_q = c.random(4), start_k = c.random(2), start_v = c.random(2);
  auto q_bar = start_q, k_bar = start_k, v_bar = start_v, found_q = start_q, found_k = start_k, found_v = start_v;
  host::attention_pullback(c.sizes, offsets, key_offsets, q.data(), k.data(), v.data(), c.scale, out.data(), lse.data(), g.data(), q_bar.data(),
                           k_bar.data(), v_bar.data());
  a.q_bar = {found_q.data()}, a.k_bar = {found_k.data()}, a.v_bar = {found_v.data()};
  c.launch(a, 4, room::stats_room, [](const auto& pass, index_t head) { pass.stats(head); });
  c.launch(a, 4, room::pullback_queries_room, [](const auto& pass, index_t head) { pass.pullback_queries(head); });
  c.launch(a, 2, room::pullback_keys_room, [](const auto& pass, index_t head) { pass.pullback_keys(head); });
  check(found_q, q_bar);
  check(found_k, k_bar);
  check(found_v, v_bar);

  std::vector<T> dout(q.size()), dlse(rows);
  a.dout = dout.data(), a.dlse = dlse.data(), a.ddelta = ddelta.data();
  for (const int present : {1, 2, 4, 8, 15}) {  // which tangents there are
    a.dq = present & 1 ? dq.data() : nullptr, a.dk = present & 2 ? dk.data() : nullptr;
    a.dv = present & 4 ? dv.data() : nullptr, a.dg = present & 8 ? dg.data() : nullptr;
    std::vector<T> found_dout(q.size()), found_dlse(rows);
    host::attention_pushforward<T>(c.sizes, offsets, key_offsets, q.data(), k.data(), v.data(), c.scale, out.data(), lse.data(), a.dq, a.dk, a.dv, dout.data(),
                                   dlse.data());
    c.launch(a, 4, room::pushforward_room, [&](const auto& pass, index_t head) { pass.pushforward(head, found_dout.data(), found_dlse.data()); });
    check(found_dout, dout);
    check(found_dlse, dlse);

    q_bar = found_q = start_q, k_bar = found_k = start_k, v_bar = found_v = start_v;
    host::attention_pullback_tangent<T>(c.sizes, offsets, key_offsets, q.data(), k.data(), v.data(), c.scale, out.data(), lse.data(), a.dq, a.dk, a.dv,
                                        dout.data(), dlse.data(), g.data(), a.dg, q_bar.data(), k_bar.data(), v_bar.data());
    c.launch(a, 4, room::stats_room, [](const auto& pass, index_t head) { pass.stats(head); });
    c.launch(a, 4, room::tangent_queries_room, [](const auto& pass, index_t head) { pass.tangent_queries(head); });
    c.launch(a, 2, room::tangent_keys_room, [](const auto& pass, index_t head) { pass.tangent_keys(head); });
    check(found_q, q_bar);
    check(found_k, k_bar);
    check(found_v, v_bar);
  }

  a.v_bar = {};  // what is not wanted is left alone, what is empty written
  found_k.assign(k.size(), std::numeric_limits<T>::quiet_NaN());
  a.k_bar.empty = true;
  c.launch(a, 2, room::tangent_keys_room, [](const auto& pass, index_t head) { pass.tangent_keys(head); });
  std::ranges::transform(found_k, start_k, found_k.begin(), std::plus<>{});
  check(found_k, k_bar);
}

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(agrees_with_the_host_kernels, S, settings) { check_passes<S>(attention_case<S>{}.offsets); }

BOOST_AUTO_TEST_CASE_TEMPLATE(behind_a_past, S, settings) {
  check_passes<S>({0, 1, 101, 104, 169, 202, 265});  // pasts of 0, 30, 3 (and no rows), 49, 0 and 0
}

BOOST_AUTO_TEST_SUITE_END()
