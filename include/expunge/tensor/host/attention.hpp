// Causal attention with grouped queries over ragged examples, by blocks of queries; probabilities are recomputed from lse.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "expunge/tensor/host/attention_block.hpp"

// With T rows in all: q, out [T, heads * dim]; k, v [T, kv_heads * dim]; lse [T, heads], the log-sum-exp of the scaled scores,
// kept with out from the value for the derivatives. Example e owns the rows offsets[e] to offsets[e + 1]; its row t attends to
// its rows up to t; query head h reads key-value head h / (heads / kv_heads). A null tangent (prefix d) is zero; a null cotangent
// output (suffix _bar) is not wanted, and any other is added to. Memory beside the arguments: a few [64, length] a thread.
// Where there are more keys than queries, k and v, and what belongs to them, hold for example e the rows key_offsets[e] to
// key_offsets[e + 1], first those of its past, to which all its rows attend, then one for each of its rows; otherwise key_offsets
// are the offsets.
namespace expunge::host {

/// out = softmax(scale q k^T, causal) v
template <class T>
void attention(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets, const T* q, const T* k,
               const T* v, T scale, T* out, T* lse) {
  detail::for_attention_blocks(sizes, offsets, key_offsets, [&](const detail::attention_block& at) {
    const auto p = at.template matrix<detail::probabilities, T>();
    at.products(p, false, scale, q, k);
    for (index_t i = 0; i < at.rows; ++i) {
      const index_t size = at.template padded<T>(at.visible(i));
      const T largest = detail::largest_of(at.visible(i), p[i]);
      at.exponentiate(p, i, largest);
      const T sum = detail::sum_of(size, p[i]);
      detail::for_batches(size, [by = T{1} / sum](auto& x) { x *= by; }, p[i]);
      lse[at.lse_index(i)] = largest + std::log(sum);
    }
    at.to_queries(out, false, T{1}, p, v);
  });
}

/// dout and dlse, overwritten, along (dq, dk, dv).
template <class T>
void attention_pushforward(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets, const T* q, const T* k,
                           const T* v, T scale, const T* /*out*/, const T* lse, const T* dq, const T* dk, const T* dv, T* dout, T* dlse) {
  detail::for_attention_blocks(sizes, offsets, key_offsets, [&](const detail::attention_block& at) {
    const auto p = at.recompute(q, k, scale, lse);
    const auto mean_of = [&](index_t i, const T* ds) { return dlse[at.lse_index(i)] = detail::dot(at.template padded<T>(at.visible(i)), p[i], ds); };
    at.to_queries(dout, false, T{1}, at.probability_tangent(p, q, k, scale, dq, dk, mean_of), v);
    if (dv != nullptr) at.to_queries(dout, true, T{1}, p, dv);
  });
}

template <class T>
void attention_pullback(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets, const T* q, const T* k, const T* v,
                        T scale, const T* out, const T* lse, const T* out_bar, T* q_bar, T* k_bar, T* v_bar) {
  detail::for_attention_blocks(sizes, offsets, key_offsets, [&](const detail::attention_block& at) {
    const auto p = at.recompute(q, k, scale, lse);
    if (v_bar != nullptr) at.to_keys(v_bar, T{1}, p, out_bar);
    if (q_bar == nullptr && k_bar == nullptr) return;
    const auto s_bar = at.template matrix<detail::score_cotangents, T>();
    at.products(s_bar, false, T{1}, out_bar, v);  // cotangents of the probabilities
    for (index_t i = 0; i < at.rows; ++i)
      at.differentiate_softmax(p, i, detail::dot(sizes.dim, at.queries(out_bar)[i], at.queries(out)[i]), s_bar);
    if (q_bar != nullptr) at.to_queries(q_bar, true, scale, s_bar, k);
    if (k_bar != nullptr) at.to_keys(k_bar, scale, s_bar, q);
  });
}

/// Derivative of the pullback's (q_bar, k_bar, v_bar) along (dq, dk, dv, dout_bar). dlse, and dout, which the device's kernels read, are what the
/// pushforward gave.
template <class T>
void attention_pullback_tangent(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets, const T* q, const T* k,
                                const T* v, T scale, const T* /*out*/, const T* lse, const T* dq, const T* dk, const T* dv, const T* /*dout*/,
                                const T* dlse, const T* out_bar, const T* dout_bar, T* dq_bar, T* dk_bar, T* dv_bar) {
  detail::for_attention_blocks(sizes, offsets, key_offsets, [&](const detail::attention_block& at) {
    const auto p = at.recompute(q, k, scale, lse);
    const auto dp = at.probability_tangent(p, q, k, scale, dq, dk, [&](index_t i, const T*) { return dlse[at.lse_index(i)]; });
    if (dv_bar != nullptr) {
      if (dq != nullptr || dk != nullptr) at.to_keys(dv_bar, T{1}, dp, out_bar);
      if (dout_bar != nullptr) at.to_keys(dv_bar, T{1}, p, dout_bar);
    }
    if (dq_bar == nullptr && dk_bar == nullptr) return;

    const auto s_bar = at.template matrix<detail::score_cotangents, T>();
    const auto ds_bar = at.template matrix<detail::score_cotangent_tangents, T>();
    at.products(s_bar, false, T{1}, out_bar, v);  // first the cotangents of the probabilities, and their tangents
    if (dout_bar != nullptr) at.products(ds_bar, false, T{1}, dout_bar, v);
    if (dv != nullptr) at.products(ds_bar, dout_bar != nullptr, T{1}, out_bar, dv);
    for (index_t i = 0; i < at.rows; ++i) {
      const index_t size = at.template padded<T>(at.visible(i));
      if (dout_bar == nullptr && dv == nullptr) std::fill_n(ds_bar[i], size, T{0});
      const T delta = detail::dot(size, p[i], s_bar[i]);
      const auto product_tangent = [](const auto& x, const auto& dx, const auto& y, const auto& dy) { return dx * y + x * dy; };
      const T ddelta = detail::sum_batches(size, product_tangent, p[i], dp[i], s_bar[i], ds_bar[i]);
      const auto softmax_pullback = [=](const auto& x, const auto& dx, auto& y, auto& dy) {
        dy = dx * (y - delta) + x * (dy - ddelta);
        y = x * (y - delta);
      };
      detail::for_batches(size, softmax_pullback, p[i], dp[i], s_bar[i], ds_bar[i]);
      at.mask(s_bar, i);
      at.mask(ds_bar, i);
    }
    if (dq_bar != nullptr) {
      at.to_queries(dq_bar, true, scale, ds_bar, k);
      if (dk != nullptr) at.to_queries(dq_bar, true, scale, s_bar, dk);
    }
    if (dk_bar != nullptr) {
      at.to_keys(dk_bar, scale, ds_bar, q);
      if (dq != nullptr) at.to_keys(dk_bar, scale, s_bar, dq);
    }
  });
}

}  // namespace expunge::host
