// Causal attention with grouped queries over ragged examples, by blocks of queries; probabilities are recomputed from lse.
#pragma once

#include <cmath>
#include <cstdint>

#include <Eigen/Core>

#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/host/attention_block.hpp"

// With T rows in all: q, out [T, heads * dim]; k, v [T, kv_heads * dim]; lse [T, heads], the log-sum-exp of the scaled scores,
// kept with out from the value for the derivatives. Example e owns the rows offsets[e] to offsets[e + 1]; its row t attends to
// its rows up to t; query head h reads key-value head h / (heads / kv_heads). A null tangent (prefix d) is zero; a null cotangent
// output (suffix _bar) is not wanted, and any other is added to. Memory beside the arguments: a few [64, length] a thread.
// The value alone may have more keys than queries: k and v then hold, for example e, the rows key_offsets[e] to
// key_offsets[e + 1], first those of its past, to which all its rows attend, then one for each of its rows.
namespace expunge::host {

/// out = softmax(scale q k^T, causal) v
template <class T>
void attention(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets, const T* q, const T* k,
               const T* v, T scale, T* out, T* lse) {
  detail::for_attention_blocks(sizes, offsets, key_offsets, [&](const detail::attention_block& at) {
    auto p = at.template matrix<detail::probabilities, T>();
    detail::set_product_transposed<T>(p, scale, at.queries(q), at.keys(k));
    for (index_t i = 0; i < at.rows; ++i) {
      const T largest = detail::row(p, i).head(at.visible(i)).maxCoeff();
      const T sum = at.exponentiate(p, i, largest).sum();
      detail::row(p, i) /= sum;
      lse[at.lse_index(i)] = largest + std::log(sum);
    }
    auto to = at.queries(out);
    to.setZero();
    detail::add_product<T>(to, 1, p, at.keys(v));
  });
}

/// dout, overwritten, along (dq, dk, dv).
template <class T>
void attention_pushforward(const attention_shape& sizes, const std::int32_t* offsets, const T* q, const T* k, const T* v, T scale,
                           const T* /*out*/, const T* lse, const T* dq, const T* dk, const T* dv, T* dout) {
  detail::for_attention_blocks(sizes, offsets, offsets, [&](const detail::attention_block& at) {
    auto p = at.recompute(q, k, scale, lse);
    auto to = at.queries(dout);
    to.setZero();
    if (dq != nullptr || dk != nullptr) {
      auto dp = at.probability_tangent(p, q, k, scale, dq, dk);
      detail::add_product<T>(to, 1, dp, at.keys(v));
    }
    if (dv != nullptr) detail::add_product<T>(to, 1, p, at.keys(dv));
  });
}

template <class T>
void attention_pullback(const attention_shape& sizes, const std::int32_t* offsets, const T* q, const T* k, const T* v, T scale,
                        const T* out, const T* lse, const T* out_bar, T* q_bar, T* k_bar, T* v_bar) {
  detail::for_attention_blocks(sizes, offsets, offsets, [&](const detail::attention_block& at) {
    const auto p = at.recompute(q, k, scale, lse);
    const auto from = at.queries(out_bar);
    if (v_bar != nullptr) detail::add_transposed_product<T>(at.keys(v_bar), 1, p, from);
    if (q_bar == nullptr && k_bar == nullptr) return;
    auto s_bar = at.template matrix<detail::score_cotangents, T>();
    detail::set_product_transposed<T>(s_bar, 1, from, at.keys(v));  // cotangents of the probabilities
    for (index_t i = 0; i < at.rows; ++i) {
      const T delta = from.row(i).dot(at.queries(out).row(i));
      detail::row(s_bar, i) = detail::row(p, i) * (detail::row(s_bar, i) - delta);
    }
    if (q_bar != nullptr) detail::add_product<T>(at.queries(q_bar), scale, s_bar, at.keys(k));
    if (k_bar != nullptr) detail::add_transposed_product<T>(at.keys(k_bar), scale, s_bar, at.queries(q));
  });
}

/// Derivative of the pullback's (q_bar, k_bar, v_bar) along (dq, dk, dv, dout_bar).
template <class T>
void attention_pullback_tangent(const attention_shape& sizes, const std::int32_t* offsets, const T* q, const T* k, const T* v,
                                T scale, const T* /*out*/, const T* lse, const T* dq, const T* dk, const T* dv,
                                const T* out_bar, const T* dout_bar, T* dq_bar, T* dk_bar, T* dv_bar) {
  detail::for_attention_blocks(sizes, offsets, offsets, [&](const detail::attention_block& at) {
    const auto p = at.recompute(q, k, scale, lse);
    const auto dp = at.probability_tangent(p, q, k, scale, dq, dk);
    const auto from = at.queries(out_bar);
    if (dv_bar != nullptr) {
      if (dq != nullptr || dk != nullptr) detail::add_transposed_product<T>(at.keys(dv_bar), 1, dp, from);
      if (dout_bar != nullptr) detail::add_transposed_product<T>(at.keys(dv_bar), 1, p, at.queries(dout_bar));
    }
    if (dq_bar == nullptr && dk_bar == nullptr) return;

    auto s_bar = at.template matrix<detail::score_cotangents, T>();
    auto ds_bar = at.template matrix<detail::score_cotangent_tangents, T>();
    detail::set_product_transposed<T>(s_bar, 1, from, at.keys(v));  // first the cotangents of the probabilities, and their tangents
    ds_bar.setZero();
    if (dout_bar != nullptr) detail::add_product_transposed<T>(ds_bar, 1, at.queries(dout_bar), at.keys(v));
    if (dv != nullptr) detail::add_product_transposed<T>(ds_bar, 1, from, at.keys(dv));
    for (index_t i = 0; i < at.rows; ++i) {
      const auto p_i = detail::row(p, i);
      const auto dp_i = detail::row(dp, i);
      auto s_i = detail::row(s_bar, i);
      auto ds_i = detail::row(ds_bar, i);
      const T delta = (p_i * s_i).sum();
      const T ddelta = (dp_i * s_i + p_i * ds_i).sum();
      ds_i = dp_i * (s_i - delta) + p_i * (ds_i - ddelta);
      s_i = p_i * (s_i - delta);
    }
    if (dq_bar != nullptr) {
      detail::add_product<T>(at.queries(dq_bar), scale, ds_bar, at.keys(k));
      if (dk != nullptr) detail::add_product<T>(at.queries(dq_bar), scale, s_bar, at.keys(dk));
    }
    if (dk_bar != nullptr) {
      detail::add_transposed_product<T>(at.keys(dk_bar), scale, ds_bar, at.queries(q));
      if (dq != nullptr) detail::add_transposed_product<T>(at.keys(dk_bar), scale, s_bar, at.queries(dq));
    }
  });
}

}  // namespace expunge::host
